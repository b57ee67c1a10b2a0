"""Which token of each variant a chosen index means.

Variants answer, and think, at different lengths. An index counts question tokens, then thinking, then answer tokens,
each part as long as its longest variant, so an answer's k-th token has one index for all. Knows no colours, no page.
"""

from collections import Counter

from inference.trace.session import Session, Token, Trace


def slot_count(session: Session) -> int:
    """Largest index plus one."""
    return sum(_lengths(session))


def slots_of(session: Session, trace: Trace) -> list[int]:
    """The index of each of the trace's tokens, rising."""
    lead, thinking, _ = _lengths(session)
    starts = (0, lead, lead + thinking)
    seen: Counter[int] = Counter()
    slots = []
    for token in trace.tokens:
        part = _part(token)
        slots.append(starts[part] + seen[part])
        seen[part] += 1
    return slots


def tokens_at(session: Session, trace: Trace, first: int, last: int) -> slice:
    """The trace's tokens whose index lies in first .. last; empty if this variant has none of them."""
    chosen = [place for place, slot in enumerate(slots_of(session, trace)) if first <= slot <= last]
    return slice(chosen[0], chosen[-1] + 1) if chosen else slice(0, 0)


def _lengths(session: Session) -> tuple[int, int, int]:
    counts = [Counter(_part(token) for token in run.trace.tokens) for run in session.runs]
    lead, thinking, answer = (max((count[part] for count in counts), default=0) for part in range(3))
    return lead, thinking, answer


def _part(token: Token) -> int:
    return {"prompt": 0, "question": 0, "thinking": 1, "answer": 2}[token.part]
