"""Sessions are kept for their owner, for a while, within their space; whatever is sent as an id does no harm."""

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from inference import store as store_module
from inference.errors import BusyError, SessionError
from inference.settings import Settings
from inference.store import QUIET_S, SessionStore
from inference.trace.archive import unpack_session
from tests.fakes import make_session
from tests.inference.trace.alike import assert_alike
from tests.kept import age, keep_session, made_bytes


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SessionStore]:
    made = SessionStore(tmp_path / "root", hours=1, gigabytes=1)
    yield made
    made.close()


def test_what_is_added_comes_back_equal_under_an_id_fit_for_an_address(store: SessionStore) -> None:
    first, second = keep_session(store, make_session()), keep_session(store, make_session())
    assert first != second
    assert len(first) == 22 and first.replace("-", "").replace("_", "").isalnum()
    assert_alike(store.get(first), make_session())


def test_rows_lie_on_disk_and_not_in_memory(store: SessionStore) -> None:
    assert isinstance(store.get(keep_session(store, make_session())).runs[0].trace.rows.base, np.memmap)


def test_only_a_few_stay_open_and_the_others_are_read_again(tmp_path: Path) -> None:
    store = SessionStore(tmp_path, hours=1, gigabytes=1, opened=2)
    ids = [keep_session(store, make_session()) for _ in range(3)]
    opened = [store.get(session_id) for session_id in ids]
    assert store.get(ids[2]) is opened[2] and store.get(ids[1]) is opened[1]
    assert store.get(ids[0]) is not opened[0]
    held = weakref.ref(opened.pop())
    assert store.get(ids[1]) is opened[1]
    gc.collect()
    assert held() is None


@pytest.mark.parametrize(
    "forged",
    [None, 5, -99999, [], {}, b"x" * 22, "", "..", "a" * 21, "a" * 23, "../../../../etc/passwd", "/etc/passwd",
     "." * 22, "a" * 21 + "/", "a" * 21 + "\n", "a" * 22 + "\n", "é" * 22, "a" * 21 + "\0", ".partial-aaaaaaaaaaaaa"],
)  # fmt: skip
def test_whatever_is_no_id_is_refused(store: SessionStore, forged: object) -> None:
    for ask in (store.get, store.export, store.drop):
        with pytest.raises(SessionError, match="a session's id, got something else"):
            ask(forged)


def test_an_id_of_nothing_is_gone(store: SessionStore) -> None:
    for ask in (store.get, store.export):
        with pytest.raises(SessionError, match="got one that is gone: ask the question again"):
            ask("a" * 22)
    store.drop("a" * 22)


def test_a_dropped_session_and_its_export_are_gone_from_disk(store: SessionStore, tmp_path: Path) -> None:
    session_id = keep_session(store, make_session())
    store.get(session_id)
    store.export(session_id)
    store.drop(session_id)
    assert list((tmp_path / "root").iterdir()) == []
    with pytest.raises(SessionError, match="gone"):
        store.get(session_id)


def test_an_exported_session_opens_as_another_one(store: SessionStore, tmp_path: Path) -> None:
    first = keep_session(store, make_session(images=2))
    path = store.export(first)
    assert store.export(first) == path
    assert_alike(unpack_session(path, tmp_path / "elsewhere"), make_session(images=2))
    second = store.open(path)
    assert second != first
    assert_alike(store.get(second), make_session(images=2))


def test_a_foreign_file_leaves_nothing(store: SessionStore, tmp_path: Path) -> None:
    path = tmp_path / "cat.zip"
    path.write_text("meow")
    with pytest.raises(SessionError, match="another file"):
        store.open(path)
    assert list((tmp_path / "root").iterdir()) == []


def test_after_its_time_a_session_goes_and_use_keeps_it(store: SessionStore, tmp_path: Path) -> None:
    root = tmp_path / "root"
    used, exported, left = (keep_session(store, make_session()) for _ in range(3))
    for session_id in (used, exported, left):
        age(root, session_id, 3500)
    store.get(used)
    store.export(exported)
    store.sweep()
    assert (root / left).exists()
    for session_id in (used, exported, left):
        age(root, session_id, 3500 if session_id != left else 3700)
    with pytest.raises(SessionError, match="gone"):
        store.get(left)
    store.sweep()
    assert not (root / left).exists()
    assert_alike(store.get(used), store.get(exported))


def test_over_size_the_oldest_quiet_one_goes_and_no_live_one(tmp_path: Path) -> None:
    store = SessionStore(tmp_path, hours=1, gigabytes=3.5 * made_bytes() / 1e9)
    oldest, older, live = (keep_session(store, make_session()) for _ in range(3))
    age(tmp_path, oldest, QUIET_S + 20)
    age(tmp_path, older, QUIET_S + 10)
    fresh = keep_session(store, make_session())
    assert not (tmp_path / oldest).exists()
    for kept in (older, live, fresh):
        store.get(kept)
    with pytest.raises(BusyError, match="try again in some minutes"):
        keep_session(store, make_session())
    for kept in (older, live, fresh):
        store.get(kept)


def test_an_opened_file_counts_as_well(tmp_path: Path) -> None:
    store = SessionStore(tmp_path / "root", hours=1, gigabytes=2.5 * made_bytes() / 1e9)
    path = store.export(keep_session(store, make_session())).rename(tmp_path / "taken.zip")
    keep_session(store, make_session())
    before = sorted((tmp_path / "root").iterdir())
    with pytest.raises(BusyError, match="room for another"):
        store.open(path)
    assert sorted((tmp_path / "root").iterdir()) == before


def test_a_session_larger_than_the_store_is_refused(tmp_path: Path) -> None:
    store = SessionStore(tmp_path, hours=1, gigabytes=1e-6)
    with pytest.raises(SessionError, match="at most 1e-06 GB"):
        keep_session(store, make_session())
    assert list(tmp_path.iterdir()) == []


def test_another_store_on_the_same_root_knows_the_sessions(store: SessionStore, tmp_path: Path) -> None:
    session_id = keep_session(store, make_session())
    other = SessionStore(tmp_path / "root", hours=1, gigabytes=1)
    assert_alike(other.get(session_id), make_session())
    other.drop(session_id)
    with pytest.raises(SessionError, match="gone"):
        store.get(session_id)


def test_what_nobody_finished_writing_is_swept_when_it_is_old(store: SessionStore, tmp_path: Path) -> None:
    (tmp_path / "root" / ".partial-old").mkdir()
    (tmp_path / "root" / ".partial-new").mkdir()
    (tmp_path / "root" / "owners-notes").mkdir()
    for name in (".partial-old", "owners-notes"):
        age(tmp_path / "root", name, 7200)
    store.sweep()
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == [".partial-new", "owners-notes"]


def test_a_root_of_its_own_goes_with_the_store_and_a_given_one_stays(store: SessionStore, tmp_path: Path) -> None:
    own = SessionStore(hours=1, gigabytes=1)
    root = own.export(keep_session(own, make_session())).parent
    own.close()
    assert not root.exists()
    keep_session(store, make_session())
    store.close()
    assert len(list((tmp_path / "root").iterdir())) == 1


def test_a_forgotten_store_takes_its_own_root_along() -> None:
    own = SessionStore(hours=1, gigabytes=1)
    root = own.export(keep_session(own, make_session())).parent
    del own
    gc.collect()
    assert not root.exists()


def test_the_owners_settings_hold_and_a_sweeper_works_until_the_store_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_SWEEP_S", 0.01)
    before = set(threading.enumerate())
    store = SessionStore.for_settings(Settings(session_hours=0.5, sessions_gb=2))
    (sweeper,) = set(threading.enumerate()) - before
    session_id = keep_session(store, make_session())
    root = store.export(session_id).parent
    age(root, session_id, 1900)
    deadline = time.monotonic() + 10
    while (root / session_id).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not (root / session_id).exists()
    store.close()
    sweeper.join(10)
    assert not sweeper.is_alive()


def test_many_threads_at_once_lose_and_mix_nothing(tmp_path: Path) -> None:
    store = SessionStore(tmp_path, hours=1, gigabytes=1, opened=2)
    sessions = [make_session(images=images) for images in range(3)]
    failures: list[BaseException] = []

    def visit(number: int) -> None:
        try:
            for turn in range(5):
                mine = sessions[(number + turn) % 3]
                session_id = keep_session(store, mine)
                assert_alike(store.get(session_id), mine)
                store.sweep()
                store.export(session_id)
                store.drop(session_id)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and list(tmp_path.iterdir()) == []
