"""What one process sends another: progress, then a session in small pieces; what arrives broken never opens."""

import pickle
import tempfile
import tracemalloc
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference import remote as remote_module
from inference.errors import AdapterError, SessionError
from inference.evidence.trials import Block, Findings, Probe, Reason, Trial, Watch
from inference.protocol import Progress
from inference.remote import PIECE_BYTES, Lot, Piece, RemoteEngine, serve_probe, serve_run
from inference.trace.arrays import mapped_file
from inference.trace.files import FILE_NAMES, JSON_NAME, load_session
from inference.trace.request import Request
from inference.trace.session import Session
from tests.fakes import FakeEngine, make_session
from tests.inference.trace.alike import assert_alike

ASKED = make_session().request
Spoil = Callable[[list[Piece]], Iterable[Piece]]


def make_remote(fake: FakeEngine, spoil: Spoil = iter) -> RemoteEngine:
    """An engine behind a wire that may spoil the pieces."""

    def run(request: Request) -> Generator[Progress | Piece, None, None]:
        pieces = []
        for step in serve_run(fake, request):
            if isinstance(step, Progress):
                yield step
            else:
                pieces.append(step)
        yield from spoil(pieces)

    return RemoteEngine(run, lambda probe: serve_probe(fake, probe), fake.adapters, model_name="elsewhere")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


def test_the_session_arrives_as_it_was_and_lies_in_the_callers_folder(folder: Path) -> None:
    remote = make_remote(FakeEngine(steps=2))
    assert remote.facts() is None
    *steps, session = remote.run(ASKED, folder)
    assert {type(step) for step in steps} == {Progress}
    assert isinstance(session, Session)
    assert_alike(session, make_session())
    assert mapped_file(session.runs[0].trace.rows) == folder / "rows-0.npy"
    assert all(FILE_NAMES.fullmatch(path.name) for path in folder.iterdir())
    facts = remote.facts()
    assert facts is not None
    assert facts.name == "fake model"


def test_pieces_are_small_and_the_files_that_they_make_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_module, "PIECE_BYTES", 1000)
    written: dict[str, bytes] = {}
    sent: list[str] = []
    seen = FakeEngine()
    for step in serve_run(seen, ASKED):
        if isinstance(step, Piece):
            assert 0 < len(step.data) <= 1000
            written[step.name] = written.get(step.name, b"") + step.data
            sent.append(step.name)
    assert sent[-1] == JSON_NAME
    assert sent.index(JSON_NAME) == len(sent) - sent.count(JSON_NAME)
    assert sent.count("rows-0.npy") > 2
    assert len(written["rows-0.npy"]) == 128 + make_session().runs[0].trace.rows.nbytes


def test_memory_does_not_grow_with_the_session(folder: Path) -> None:
    size = 10 * PIECE_BYTES

    class Large(FakeEngine):
        def run(self, request: Request, folder: Path) -> Generator[Progress | Session, None, None]:
            with (folder / "rows-99.npy").open("wb") as file:
                file.truncate(size)
            yield from super().run(request, folder)

    large = Large()
    remote = RemoteEngine(
        lambda request: serve_run(large, request),
        lambda probe: serve_probe(large, probe),
        lambda: (),
        model_name="elsewhere",
    )
    tracemalloc.start()
    try:
        list(remote.run(ASKED, folder))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (folder / "rows-99.npy").stat().st_size == size
    assert peak < 3 * PIECE_BYTES


def test_the_other_side_keeps_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    list(make_remote(FakeEngine()).run(ASKED, folder))
    steps = serve_run(FakeEngine(), ASKED)
    while isinstance(next(steps), Progress):
        pass
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1
    steps.close()
    with pytest.raises(AdapterError):
        list(serve_run(FakeEngine(error=AdapterError("a", "b", "c")), ASKED))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_closing_early_closes_the_other_side(folder: Path) -> None:
    fake = FakeEngine(steps=100)
    steps = make_remote(fake).run(ASKED, folder)
    next(steps)
    assert not fake.closed.is_set()
    steps.close()
    assert fake.closed.is_set()


def test_an_error_crosses_as_what_it_was(folder: Path) -> None:
    error = pickle.loads(pickle.dumps(AdapterError("an adapter", "nothing", "name one")))
    with pytest.raises(AdapterError, match="Expected an adapter, got nothing: name one"):
        list(make_remote(FakeEngine(error=error)).run(ASKED, folder))


def renamed(name: str) -> Spoil:
    return lambda pieces: [replace(pieces[0], name=name), *pieces[1:]]


def cut_connection(pieces: list[Piece]) -> Iterator[Piece]:
    yield from pieces[:2]
    raise ConnectionResetError


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (renamed("../outside.npy"), "something else"),
        (renamed("/etc/passwd"), "something else"),
        (renamed("rows.pkl"), "something else"),
        (renamed("../session.json"), "something else"),
        (lambda pieces: [replace(pieces[0], data=bytes(PIECE_BYTES + 1)), *pieces[1:]], "something else"),
        (lambda pieces: [*pieces, pieces[0]], "-0.npy twice"),
        (lambda pieces: [pieces[-1], *pieces[:-1]], "only a part of it"),
        (lambda pieces: pieces[:-1], "only a part of it"),
        (lambda pieces: [], "only a part of it"),
        (cut_connection, "a connection that ended"),
    ],
)
def test_what_is_no_whole_session_is_one_sentence_and_does_not_open(
    folder: Path, tmp_path: Path, spoil: Spoil, says: str
) -> None:
    with pytest.raises(SessionError, match=f"the whole answer of the model's machine, got .*{says}: ask"):
        list(make_remote(FakeEngine(), spoil).run(ASKED, folder))
    with pytest.raises(SessionError):
        load_session(folder)
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pieces: pieces[1:],
        lambda pieces: [replace(pieces[0], data=pieces[0].data[:-7]), *pieces[1:]],
        lambda pieces: [*pieces[:-1], replace(pieces[-1], data=pieces[-1].data[:-7])],
    ],
    ids=["a file is missing", "an array is cut", "the words are cut"],
)
def test_damage_on_the_way_is_told_as_damage(folder: Path, spoil: Spoil) -> None:
    with pytest.raises(SessionError, match="a session saved by this program"):
        list(make_remote(FakeEngine(), spoil).run(ASKED, folder))
    with pytest.raises(SessionError):
        load_session(folder)


def test_a_full_disk_is_one_sentence_and_nothing_opens(folder: Path) -> None:
    (folder / "rows-1.npy").symlink_to("/dev/full")
    with pytest.raises(SessionError, match="room on the disk for the attention rows, got no space left on device"):
        list(make_remote(FakeEngine()).run(ASKED, folder))
    with pytest.raises(SessionError):
        load_session(folder)


def test_numbers_are_those_that_were_sent(folder: Path) -> None:
    *_, session = make_remote(FakeEngine()).run(ASKED, folder)
    assert isinstance(session, Session)
    rows = np.load(folder / "rows-1.npy")
    np.testing.assert_array_equal(rows, make_session().runs[1].trace.rows)


TRIED = Probe(
    ASKED,
    tuple(Trial((7, 8), change=Block((cell,))) for cell in range(30)),
    (Reason((7, 8), ASKED.variants[1], 9, 0, 0),),
    Watch(9),
)


def probe_remote(fake: FakeEngine, spoil: Callable[[list[Lot | Findings]], Iterable[Lot | Findings]]) -> RemoteEngine:
    """An engine behind a wire that may spoil what was found."""

    def probe(asked: Probe) -> Generator[Progress | Lot | Findings, None, None]:
        sent: list[Lot | Findings] = []
        for step in serve_probe(fake, asked):
            if isinstance(step, Progress):
                yield step
            else:
                sent.append(step)
        yield from spoil(sent)

    return RemoteEngine(lambda request: serve_run(fake, request), probe, fake.adapters, model_name="elsewhere")


def test_findings_arrive_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    *_, expected = FakeEngine().probe(TRIED)
    assert isinstance(expected, Findings)
    whole = [step for step in serve_probe(FakeEngine(), TRIED) if not isinstance(step, Progress)]
    assert [type(step) for step in whole] == [Lot, Findings]
    monkeypatch.setattr(remote_module, "PIECE_BYTES", 1000)  # A map has 7 x 11 numbers of 4 bytes.
    parted = [step for step in serve_probe(FakeEngine(), TRIED) if isinstance(step, Lot)]
    assert [len(lot.outcomes) for lot in parted] == [3] * 10
    *steps, found = probe_remote(FakeEngine(steps=2), iter).probe(TRIED)
    assert [type(step) for step in steps] == [Progress, Progress]
    assert isinstance(found, Findings)
    for one, other in zip(found.outcomes, expected.outcomes, strict=True):
        assert one.logprobs == other.logprobs
        np.testing.assert_array_equal(one.map, other.map)
    assert (found.shares, found.notes) == (expected.shares, expected.notes)


@pytest.mark.parametrize("spoil", [lambda sent: sent[1:], lambda sent: sent[:1], lambda sent: [sent[0], *sent]])
def test_findings_that_do_not_arrive_whole_are_one_sentence(
    spoil: Callable[[list[Lot | Findings]], Iterable[Lot | Findings]],
) -> None:
    with pytest.raises(SessionError, match="the whole answer of the model's machine, got only a part of it: ask"):
        list(probe_remote(FakeEngine(), spoil).probe(TRIED))


def test_closing_trials_early_closes_the_other_side() -> None:
    fake = FakeEngine(steps=100)
    steps = probe_remote(fake, iter).probe(TRIED)
    next(steps)
    steps.close()
    assert fake.closed.is_set()
