"""A run that is closed or fails: the model is as it was, memory is free again, and no half session opens."""

import gc
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.errors import ModelError, SessionError, SettingsError, VisualizerError
from inference.model import answer as answer_module
from inference.model import engine as engine_module
from inference.model.capture import Recorder
from inference.model.decode import Conversation
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel
from inference.protocol import Progress, Stage
from inference.trace.files import load_session
from inference.trace.request import Generation, Request
from tests.inference.model.asking import check_equal, finish, make_request
from tests.inference.model.conftest import Room


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[weakref.ref[Any]]]:
    """What runs make and must let go: recorders, conversations and their caches."""
    found: list[weakref.ref[Any]] = []
    for kind in (Recorder, Conversation):
        monkeypatch.setattr(kind, "__init__", _watched(kind, found))
    yield found


def _watched(kind: type[Any], found: list[weakref.ref[Any]]) -> Any:
    begin = vars(kind)["__init__"]

    def watched(self: Any, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        found.append(weakref.ref(self))
        if isinstance(self, Conversation):
            found.append(weakref.ref(self._cache))

    return watched


def check_gone(held: list[weakref.ref[Any]], folder: Path) -> None:
    gc.collect()
    assert held and [reference() for reference in held] == [None] * len(held)
    assert not (folder / "session.json").exists()
    with pytest.raises(SessionError):
        load_session(folder)


def test_closing_stops_within_one_token(room: Room, engine: ModelEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[list[int]] = []
    feed = Conversation.feed_each

    def counted(self: Conversation, ids: list[int]) -> torch.Tensor:
        fed.append(ids)
        return feed(self, ids)

    monkeypatch.setattr(Conversation, "feed_each", counted)
    run = engine.run(make_request("alpha", "base", generation=Generation(max_new_tokens=50)), room())
    while not (isinstance(step := next(run), Progress) and step.done == 2):
        pass
    run.close()
    assert [len(tokens) for tokens in fed] == [2]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("stage", ["picture", "tokens", "rows", "check"])
def test_closing_at_any_stage_frees_all(
    room: Room, engine: ModelEngine, loaded: LoadedModel, held: list[weakref.ref[Any]], stage: Stage, number: int
) -> None:
    before, folder = finish(engine.run(make_request("base"), room())), room()
    run = engine.run(make_request("alpha", "base", compare_eager=True), folder)
    steps = (step for step in run if isinstance(step, Progress) and step.stage == stage)
    for _ in range(1 if stage == "picture" else number):
        next(steps)
    run.close()
    check_gone(held, folder)
    assert loaded.text_config._attn_implementation == "sdpa"
    check_equal(finish(engine.run(make_request("base"), room())), before)


@pytest.mark.parametrize(
    ("where", "name", "error", "told"),
    [
        (answer_module, "write_rows", torch.OutOfMemoryError, SettingsError),
        (answer_module, "write_answers", torch.OutOfMemoryError, SettingsError),
        (answer_module, "largest_error", ModelError("a", "b", "c"), ModelError),
        (engine_module, "write_session", SessionError("a", "b", "c"), SessionError),
    ],
    ids=["rows", "tokens", "check", "end"],
)
def test_an_error_leaves_the_engine_as_it_was(
    room: Room,
    engine: ModelEngine,
    held: list[weakref.ref[Any]],
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    name: str,
    error: Exception,
    told: type[VisualizerError],
) -> None:
    before, folder = finish(engine.run(make_request("base"), room())), room()

    def breaks(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(where, name, breaks)
        with pytest.raises(told):
            list(engine.run(make_request("alpha", compare_eager=True), folder))
    if isinstance(error, Exception):  # Its traceback holds all that was on the way.
        error.__traceback__ = None
    check_gone(held, folder)
    check_equal(finish(engine.run(make_request("base"), room())), before)


def test_memory_that_is_too_small_is_told(room: Room, engine: ModelEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(answer_module, "write_rows", breaks)
    with pytest.raises(SettingsError, match="fits into the device's memory"):
        list(engine.run(make_request("alpha"), room()))


def test_a_disk_that_fills_up_leaves_no_session(
    room: Room, engine: ModelEngine, held: list[weakref.ref[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first variant's rows fit, the second's do not."""
    folder, write, left = room(), os.pwrite, [6]  # a write for each of the first variant's five arrays, and one

    def fills(*given: Any) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return write(*given)

    monkeypatch.setattr("os.pwrite", fills)
    with pytest.raises(SessionError, match="room on the disk for the attention rows, got no space left on device"):
        list(engine.run(make_request("base", "alpha"), folder))
    assert (folder / "rows-1.npy").exists()
    check_gone(held, folder)


def test_a_session_that_is_held_holds_no_model_memory(
    room: Room, engine: ModelEngine, held: list[weakref.ref[Any]]
) -> None:
    session = finish(engine.run(make_request("base", "alpha"), room()))
    gc.collect()
    assert held and [reference() for reference in held] == [None] * len(held)
    assert session.runs


def test_what_was_yielded_is_what_a_folder_opens_to(room: Room, engine: ModelEngine) -> None:
    folder = room()
    session = finish(engine.run(make_request("base", "alpha"), folder))
    opened = load_session(folder)
    check_equal(session, opened)
    assert (opened.notes, opened.model, opened.adapters) == (session.notes, session.model, session.adapters)


def test_a_refused_question_writes_nothing(room: Room, engine: ModelEngine) -> None:
    folder = room()
    with pytest.raises(VisualizerError):
        list(engine.run(Request("What?", compare_eager=True, max_pixels=1), folder))
    assert list(folder.iterdir()) == []
