"""Which token of each variant a chosen index means.

Variants answer, and think, at different lengths. An index counts question tokens, then thinking, then answer tokens,
each part as long as its longest variant, so an answer's k-th token has one index for all. Knows no colours, no page.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import count

from inference.trace.session import Session, Trace


def slot_count(session: Session) -> int:
    """Largest index plus one."""
    return sum(_lengths(session))


def slots_of(session: Session, trace: Trace) -> list[int]:
    """The index of each of the trace's tokens, rising."""
    lead, thinking, _ = _lengths(session)
    asked = count()
    following = {
        "prompt": asked,
        "question": asked,
        "thinking": count(lead),
        "answer": count(lead + thinking),
    }
    return [next(following[token.part]) for token in trace.tokens]


def tokens_at(slots: Sequence[int], first: int, last: int) -> slice:
    """The places of the indices first .. last among those of a trace's tokens; empty if it has none of them."""
    start, stop = bisect_left(slots, first), bisect_right(slots, last)
    return slice(start, stop) if start < stop else slice(0, 0)


def _lengths(session: Session) -> tuple[int, int, int]:
    """How long the longest question (with the prompt), thinking and answer are."""
    counts = [Counter(token.part for token in run.trace.tokens) for run in session.runs]
    lead = max((one["prompt"] + one["question"] for one in counts), default=0)
    thinking, answer = (max((one[part] for one in counts), default=0) for part in ("thinking", "answer"))
    return lead, thinking, answer
