"""Where the rows at a chosen layer and head went: what each token gave to the parts of the sequence.

Read from the sums that a trace keeps of every layer and head, the chosen ones alone. Knows no colours, no page.
"""

import threading
import weakref

import numpy as np
from jaxtyping import Float

from inference.trace.session import Trace

PartsOfTokens = Float[np.ndarray, "tokens parts"]


def parts_at(trace: Trace, layer: int | None, head: int | None) -> PartsOfTokens:
    """What every token gave to each of `PARTS`, then to each picture; None: the mean over all layers or heads."""
    if layer is None and head is None:
        return _means(trace)
    if layer is None:
        return np.asarray(trace.sums[:, :, head].mean(1, dtype=np.float32))
    if head is None:
        return np.asarray(trace.sums[:, layer].mean(1, dtype=np.float32))
    return np.asarray(trace.sums[:, layer, head])


_kept: dict[int, PartsOfTokens] = {}
_lock = threading.Lock()


def _means(trace: Trace) -> PartsOfTokens:
    """Over all layers and heads, kept for as long as the trace's sums live.

    A few kilobytes: without them every click on the mean of all, which is where many begin, would read all sums from
    the disk again, 33 MB where 4,600 tokens of a 2B model are kept.
    """
    key = id(trace.sums)
    with _lock:
        means = _kept.get(key)
    if means is None:
        count, layers, heads, parts = trace.sums.shape
        # As a product, which takes a twentieth of the time of a mean over the two middle axes.
        even = np.full((1, layers * heads), 1 / (layers * heads), np.float32)
        means = (even @ np.asarray(trace.sums).reshape(count, layers * heads, parts))[:, 0]
        with _lock:
            _kept[key] = means
            weakref.finalize(trace.sums, _kept.pop, key, None)
    return means
