"""Whose sessions are whose, and who waits: what a visitor's tab made is dropped when the tab goes.

Holds ids alone; the sessions lie in the store, which drops them by age and space as well. Knows no Gradio.
"""

import threading
from collections import OrderedDict

from inference.store import SessionStore

MOST_VISITORS = 10_000


class Visits:
    """Ids of the sessions made in each open tab; the tabs that were quiet longest are forgotten first."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._made: OrderedDict[str, list[str]] = OrderedDict()
        self._waiting: set[str] = set()

    def __len__(self) -> int:
        return len(self._made)

    def note(self, visitor: str, session_id: str) -> None:
        """Remembers that this tab made this session."""
        with self._lock:
            self._made.setdefault(visitor, []).append(session_id)
            self._made.move_to_end(visitor)
            while len(self._made) > MOST_VISITORS:
                self._made.popitem(last=False)

    def wait(self, visitor: str) -> None:
        """Remembers that a question of this tab was sent to the queue."""
        with self._lock:
            self._waiting.add(visitor)

    def begin(self, visitor: str) -> bool:
        """Whether a question of this tab was waiting until now; it waits no more."""
        with self._lock:
            waited = visitor in self._waiting
            self._waiting.discard(visitor)
        return waited

    def leave(self, visitor: str) -> None:
        """Drops all sessions of a tab that was closed."""
        with self._lock:
            self._waiting.discard(visitor)
            ids = self._made.pop(visitor, [])
        for session_id in ids:
            self._store.drop(session_id)
