"""Which token of each variant a chosen index means, and the sums over whole traces that every click needs.

Variants answer, and think, at different lengths. An index counts question tokens, then thinking, then answer tokens,
each part as long as its longest variant, so an answer's k-th token has one index for all. Knows no colours, no page.
"""

import threading
import weakref
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from inference.trace import maps
from inference.trace.session import Session, Token, Trace


@dataclass(frozen=True)
class Overview:
    """Sums over all of a trace's rows, which no click could afford to take again.

    `shares`: where each row went, in the order of `maps.SHARES`; `pictures`: its share on each picture. `pooled` is
    the trace with one layer and one head, the mean over all of them.
    """

    shares: Float[np.ndarray, "tokens layers heads 4"]
    pictures: Float[np.ndarray, "images tokens layers heads"]
    pooled: Trace


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


def overview(trace: Trace) -> Overview:
    """The trace's sums, taken once and kept for as long as its rows live."""
    key = id(trace.rows)
    with _lock:
        kept = _kept.get(key)
    if kept is None:
        kept = _take(trace)
        with _lock:
            _kept[key] = kept
            weakref.finalize(trace.rows, _kept.pop, key, None)
    return kept


_kept: dict[int, Overview] = {}
_lock = threading.Lock()


def _take(trace: Trace) -> Overview:
    shares = maps.shares(trace)
    if len(trace.images) == 1:
        pictures = shares[None, ..., maps.SHARES.index("picture")]
    else:
        pictures = np.zeros((len(trace.images), *shares.shape[:3]), np.float32)
        for image, token in np.ndindex(pictures.shape[:2]):
            pictures[image, token] = maps.layer_head_share(trace, slice(token, token + 1), image)
    rows = np.zeros((len(trace.tokens), 1, 1, trace.rows.shape[-1]), np.float32)
    for token in range(len(trace.tokens)):
        rows[token, 0, 0] = maps.row_of(trace, slice(token, token + 1))
    return Overview(shares, pictures, replace(trace, rows=rows))


def _lengths(session: Session) -> tuple[int, int, int]:
    counts = [Counter(_part(token) for token in run.trace.tokens) for run in session.runs]
    lead, thinking, answer = (max((count[part] for count in counts), default=0) for part in range(3))
    return lead, thinking, answer


def _part(token: Token) -> int:
    return {"prompt": 0, "question": 0, "thinking": 1, "answer": 2}[token.part]
