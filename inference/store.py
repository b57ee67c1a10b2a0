"""Sessions on disk: kept under ids that nobody guesses, for so long and in so much space, and then gone.

The disk is the one truth: a session is a folder named by its id, last used when the folder was last touched. So several
programs may share a root, and a restart loses nothing. Whoever knows an id may see that session; whose tab made it is
the page's business. Knows no page and no model.
"""

import logging
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inference.disk import size_on_disk, used_at, written_at
from inference.errors import BusyError, SessionError
from inference.settings import Settings
from inference.trace.archive import pack_session, unpack_session
from inference.trace.files import PARTIAL, load_session, remove_folder
from inference.trace.session import Session
from inference.trace.size import format_bytes

QUIET_S = 600.0
"""A session used within so many seconds is somebody's work: it never makes room for another."""

_log = logging.getLogger(__name__)
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_SWEEP_S = 60.0
_KEEP_LESS = "keep fewer tokens, layers or heads, or ask fewer variants at once"


@dataclass(frozen=True)
class _Kept:
    """One session on disk; `used` in seconds since the epoch."""

    id: str
    used: float
    size: int


class Writing:
    """A session that is being made: written into `folder`, and kept or left behind; see `SessionStore.writing`."""

    def __init__(self, store: "SessionStore", folder: Path) -> None:
        self._store = store
        self.folder = folder

    def reserve(self, size: int) -> None:
        """Sets aside room for this many bytes, before they are made.

        Raises:
            SessionError: they are more than all the space there is, or than the disk has left.
            BusyError: there is no room, and every session kept was used a moment ago.
        """
        free = shutil.disk_usage(self.folder).free
        if size > free:
            raise SessionError(f"{format_bytes(size)} of free disk space", format_bytes(free), _KEEP_LESS)
        self._store._reserve(self.folder.name, size)

    def keep(self) -> str:
        """The id under which the session in the folder is kept from now on; nothing is copied.

        Raises:
            SessionError, BusyError: it is larger than what was reserved, and there is no room for it.
        """
        self._store._reserve(self.folder.name, size_on_disk(self.folder))
        return self._store._keep(self.folder.name)


class SessionStore:
    """Sessions in a folder of their own; safe to use from several threads.

    `root` None: a temporary folder, removed by `close`, at the latest when the program ends. `hours` after its last use
    a session goes. When all take more than `gigabytes`, the quiet ones go, the oldest first. Of those opened,
    the `opened` used last stay in memory, their rows mapped and not read; a comparison with its noise floor is a dozen.
    """

    def __init__(self, root: Path | None = None, *, hours: float, gigabytes: float, opened: int = 20) -> None:
        self._hours = hours
        self._gigabytes = gigabytes
        self._most_opened = opened
        self._opened: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()
        self._room = threading.RLock()
        """Held while room is counted, so that no two sessions are given the same."""
        self._reserved: dict[str, int] = {}
        """Bytes set aside for each folder that is being written, by its name."""
        self._closed = threading.Event()
        self._root = root or Path(tempfile.mkdtemp(prefix="lora-attention-"))
        self._root.mkdir(parents=True, exist_ok=True)
        self._remove_root = weakref.finalize(self, shutil.rmtree, self._root, True) if root is None else None

    @classmethod
    def for_settings(cls, settings: Settings) -> "SessionStore":
        """A store in a temporary folder, swept once a minute, as the owner of the installation set it."""
        store = cls(hours=settings.session_hours, gigabytes=settings.sessions_gb)
        sweeper = threading.Thread(target=_sweep_on, args=(weakref.ref(store), store._closed), daemon=True)
        sweeper.start()
        return store

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """An empty folder for a session to be written into; it goes at the end, unless it was kept."""
        folder = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=self._root))
        with self._room:
            self._reserved[folder.name] = 0
        try:
            yield Writing(self, folder)
        finally:
            with self._room:
                self._reserved.pop(folder.name, None)
            shutil.rmtree(folder, ignore_errors=True)

    def open(self, path: Path) -> str:
        """The id of a session that was exported to a file, kept now as one of this store's own.

        Raises:
            SessionError: not a session file, damaged, newer, or too large.
            BusyError: there is no room, and every session kept was used a moment ago.
        """
        session_id = secrets.token_urlsafe(16)
        unpack_session(path, self._root / session_id, gigabytes=self._gigabytes)
        try:
            self._make_room()
        except BusyError:
            self.drop(session_id)
            raise
        return session_id

    def get(self, session_id: object) -> Session:
        """The session of that id, whatever a visitor may have sent as one; counts as use.

        Raises:
            SessionError: it was dropped, or never was.
        """
        folder = self._touched(session_id)
        with self._lock:
            session = self._opened.get(folder.name)
        if session is None:
            session = load_session(folder)
        with self._lock:
            self._opened[folder.name] = session
            self._opened.move_to_end(folder.name)
            while len(self._opened) > self._most_opened:
                self._opened.popitem(last=False)
        return session

    def export(self, session_id: object) -> Path:
        """The session as one zip file, which goes when the session goes; counts as use.

        Raises:
            SessionError: it was dropped, or never was.
        """
        folder = self._touched(session_id)
        path = self._archive(folder.name)
        if not path.exists():
            pack_session(folder, path)
        return path

    def drop(self, session_id: object) -> None:
        """Removes a session, if it is there.

        Raises:
            SessionError: this is no id at all.
        """
        folder = self._folder(session_id)
        with self._lock:
            self._opened.pop(folder.name, None)
        remove_folder(folder)
        self._archive(folder.name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Removes what was not used for `hours`, what nobody finished writing, and the oldest quiet ones over size."""
        self._evict()
        oldest = time.time() - self._hours * 3600
        for partial in self._root.glob(f"{PARTIAL}*"):
            if partial.name not in self._reserved and written_at(partial) < oldest:
                shutil.rmtree(partial, ignore_errors=True)

    def close(self) -> None:
        """Forgets everything; removes the root if the store made it."""
        self._closed.set()
        with self._lock:
            self._opened.clear()
        if self._remove_root is not None:
            self._remove_root()

    def _reserve(self, name: str, size: int) -> None:
        if size > self._gigabytes * 1e9:
            raise SessionError(f"a session of at most {self._gigabytes:g} GB", format_bytes(size), _KEEP_LESS)
        with self._room:
            before = self._reserved[name]
            self._reserved[name] = max(size, before)
            try:
                self._make_room()
            except BusyError:
                self._reserved[name] = before
                raise

    def _keep(self, name: str) -> str:
        session_id = secrets.token_urlsafe(16)
        with self._room:
            os.rename(self._root / name, self._root / session_id)
            del self._reserved[name]
        return session_id

    def _make_room(self) -> None:
        if self._evict() > 0:
            raise BusyError("room for another session", "none at the moment", "try again in some minutes")

    def _evict(self) -> float:
        """Drops what may go until the rest fits; returns how many bytes are still too many, zero or less if it fits."""
        with self._room:
            now = time.time()
            kept = sorted(self._kept(), key=lambda one: one.used)
            missing = sum(one.size for one in kept) + self._being_written() - self._gigabytes * 1e9
            for one in kept:
                used = used_at(self._root / one.id)  # looked at again: somebody may have come back to it just now
                if used < now - self._hours * 3600 or (missing > 0 and used < now - QUIET_S):
                    self.drop(one.id)
                    missing -= one.size
            return missing

    def _being_written(self) -> int:
        """Bytes of all unfinished folders, whoever writes them; of this store's, what is reserved if that is more."""
        folders = list(self._root.glob(f"{PARTIAL}*"))
        return sum(max(size_on_disk(folder), self._reserved.get(folder.name, 0)) for folder in folders)

    def _kept(self) -> list[_Kept]:
        folders = [path for path in self._root.iterdir() if path.is_dir() and _ID.fullmatch(path.name)]
        return [_Kept(path.name, used_at(path), size_on_disk(path, self._archive(path.name))) for path in folders]

    def _touched(self, session_id: object) -> Path:
        """The folder of a session that is there and not too old, marked as used now."""
        folder = self._folder(session_id)
        try:
            is_there = folder.stat().st_mtime >= time.time() - self._hours * 3600
            if is_there:
                os.utime(folder)
        except FileNotFoundError:
            is_there = False
        if not is_there:
            raise SessionError("a session that is kept", "one that is gone", "ask the question again")
        return folder

    def _folder(self, session_id: object) -> Path:
        if not isinstance(session_id, str) or not _ID.fullmatch(session_id):
            raise SessionError("a session's id", "something else", "ask the question again")
        return self._root / session_id

    def _archive(self, session_id: str) -> Path:
        return self._root / f"{session_id}.zip"


def _sweep_on(store: "weakref.ref[SessionStore]", closed: threading.Event) -> None:
    while not closed.wait(_SWEEP_S):
        alive = store()
        if alive is None:
            return
        try:
            alive.sweep()
        except OSError:
            _log.exception("Old sessions could not be removed; the next try is in %g s.", _SWEEP_S)
        del alive  # held through the wait, it would never be collected
