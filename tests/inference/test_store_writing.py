"""A session is written into the store's own folder and then kept; what is not kept leaves nothing that opens."""

import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from inference.errors import BusyError, SessionError
from inference.store import QUIET_S, SessionStore
from inference.trace.arrays import ArrayFile
from inference.trace.files import write_session
from tests.fakes import make_session
from tests.kept import age, keep_session, made_bytes


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "root", hours=1, gigabytes=1)


def test_a_session_is_moved_into_place_and_not_copied(store: SessionStore, tmp_path: Path) -> None:
    with store.writing() as writing:
        write_session(make_session(), writing.folder)
        inode = (writing.folder / "rows-0.npy").stat().st_ino
        with pytest.raises(SessionError, match="gone"):
            store.get("a" * 22)
        session_id = writing.keep()
    assert (tmp_path / "root" / session_id / "rows-0.npy").stat().st_ino == inode
    assert [path.name for path in (tmp_path / "root").iterdir()] == [session_id]


@pytest.mark.parametrize("error", [None, GeneratorExit(), KeyboardInterrupt(), OSError()])
def test_what_is_not_kept_leaves_nothing(store: SessionStore, tmp_path: Path, error: BaseException | None) -> None:
    def write() -> None:
        with store.writing() as writing:
            write_session(make_session(), writing.folder)
            if error:
                raise error

    if error:
        with pytest.raises(type(error)):
            write()
    else:
        write()
    assert list((tmp_path / "root").iterdir()) == []


def test_a_disk_that_fills_up_in_the_middle_leaves_nothing(
    store: SessionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(SessionError, match="got no space left on device"), store.writing() as writing:
        with ArrayFile(writing.folder / "rows-0.npy", (3, 5), "float16") as rows:
            rows.put((0,), np.ones(5))
            monkeypatch.setattr(os, "pwrite", full)
            rows.put((1,), np.ones(5))
    assert list((tmp_path / "root").iterdir()) == []


def test_a_crash_leaves_what_does_not_open_and_is_swept(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from inference.store import SessionStore\n"
        "with SessionStore(Path(sys.argv[1]), hours=1, gigabytes=1).writing() as writing:\n"
        "    (writing.folder / 'rows-0.npy').write_bytes(b'half')\n"
        "    os._exit(7)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == 7
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".partial-")
    store = SessionStore(tmp_path, hours=1, gigabytes=1)
    with pytest.raises(SessionError, match="a session's id"):
        store.get(left.name)
    store.sweep()
    assert left.exists()
    age(tmp_path, left.name, 7200)
    store.sweep()
    assert left.exists()
    age(left, "rows-0.npy", 7200)
    store.sweep()
    assert list(tmp_path.iterdir()) == []


def test_a_session_that_is_written_for_hours_is_not_swept(store: SessionStore, tmp_path: Path) -> None:
    with store.writing() as writing:
        age(tmp_path / "root", writing.folder.name, 7200)
        store.sweep()
        assert writing.folder.exists()


def test_room_is_set_aside_before_anything_is_written(tmp_path: Path) -> None:
    store = SessionStore(tmp_path, hours=1, gigabytes=1e-4)
    with store.writing() as first, store.writing() as second:
        first.reserve(60_000)
        with pytest.raises(BusyError, match="room for another session"):
            second.reserve(60_000)
        second.reserve(40_000)
        with pytest.raises(SessionError, match=r"a session of at most 0.0001 GB, got 101 kB: keep fewer tokens"):
            first.reserve(100_001)
    with store.writing() as third:
        third.reserve(100_000)


def test_making_room_lets_the_oldest_quiet_one_go_before_the_run(tmp_path: Path) -> None:
    size = made_bytes()
    store = SessionStore(tmp_path, hours=1, gigabytes=1.5 * size / 1e9)
    quiet = keep_session(store, make_session())
    with store.writing() as writing:
        with pytest.raises(BusyError):
            writing.reserve(size)
        age(tmp_path, quiet, QUIET_S + 1)
        writing.reserve(size)
    assert list(tmp_path.iterdir()) == []


def test_what_was_reserved_is_the_sessions_once_it_is_kept(tmp_path: Path) -> None:
    size = made_bytes()
    store = SessionStore(tmp_path, hours=1, gigabytes=2.5 * size / 1e9)
    with store.writing() as writing:
        writing.reserve(2 * size)
        write_session(make_session(), writing.folder)
        writing.keep()
    keep_session(store, make_session())
    with pytest.raises(BusyError):
        keep_session(store, make_session())


def test_more_than_the_disk_has_left_is_refused_at_once(store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=5_000_000))
    with store.writing() as writing:
        writing.reserve(5_000_000)
        with pytest.raises(SessionError, match=r"Expected 6 MB of free disk space, got 5 MB: keep fewer tokens"):
            writing.reserve(6_000_000)


def test_no_two_threads_are_given_the_same_room(tmp_path: Path) -> None:
    store = SessionStore(tmp_path, hours=1, gigabytes=1e-4)
    together = threading.Barrier(8)
    told: list[str] = []

    def ask() -> None:
        with store.writing() as writing:
            together.wait(10)
            try:
                writing.reserve(30_000)
                told.append("room")
            except BusyError:
                told.append("none")
            together.wait(10)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["none"] * 5 + ["room"] * 3
