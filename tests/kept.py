"""Puts made sessions into a store, as a run does: written into its folder, then kept."""

import os
import tempfile
import time
from pathlib import Path

from inference.disk import size_on_disk
from inference.store import SessionStore
from inference.trace.files import write_session
from inference.trace.session import Session
from tests.fakes import make_session


def keep_session(store: SessionStore, session: Session) -> str:
    """The id under which the store keeps the session now."""
    with store.writing() as writing:
        write_session(session, writing.folder)
        return writing.keep()


def made_bytes() -> int:
    """Bytes of a made session on disk."""
    with tempfile.TemporaryDirectory() as folder:
        write_session(make_session(), Path(folder))
        return size_on_disk(Path(folder))


def age(root: Path, name: str, seconds: float) -> None:
    """Makes a session or a file look as if it had last been used so long ago."""
    then = time.time() - seconds
    os.utime(root / name, (then, then))
