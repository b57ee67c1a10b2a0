"""Figures of all heads that were worked out a moment ago, so that a click on one of them reads no row again.

They are kept for as long as the traces live that they were made from.
"""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np

from inference.trace.session import Trace


class Recent:
    """At most `most` of them, the latest used."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._made: OrderedDict[tuple[tuple[int, ...], Hashable], np.ndarray] = OrderedDict()
        self._watched: set[int] = set()
        # Taken again where an array goes, and `_forget` is called, in the middle of `get`.
        self._lock = threading.RLock()

    def get(self, traces: tuple[Trace, ...], key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """What `make` makes of the traces, or made of them before under this key; not to be written to."""
        whole = (tuple(id(trace.sums) for trace in traces), key)
        with self._lock:
            if whole in self._made:
                self._made.move_to_end(whole)
                return self._made[whole]
        values = make()
        values.flags.writeable = False
        with self._lock:
            for trace in traces:
                self._watch(trace)
            self._made[whole] = values
            while len(self._made) > self._most:
                self._made.popitem(last=False)
        return values

    def _watch(self, trace: Trace) -> None:
        # A trace itself cannot be watched, nor be a key: it is compared by its arrays.
        number = id(trace.sums)
        if number not in self._watched:
            self._watched.add(number)
            weakref.finalize(trace.sums, self._forget, number)

    def _forget(self, number: int) -> None:
        """The number may become another array's."""
        with self._lock:
            self._watched.discard(number)
            for whole in [whole for whole in self._made if number in whole[0]]:
                del self._made[whole]


RECENT = Recent(most=256)
"""Layers x heads, a few kilobytes each; a noise floor takes a dozen for every column."""
RECENT_CELLS = Recent(most=12)
"""Layers x heads x cells, up to some megabytes each."""
