"""Pictures are seen once for every variant that would see the same, and by the others for themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.catalog import find_adapters
from inference.model.adapters import AdapterBank
from inference.model.decode import Conversation
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel
from inference.protocol import Progress
from inference.settings import Settings
from inference.trace.parse import parse_variant
from inference.trace.request import Generation, Keep, Request
from inference.trace.session import Session
from tests.inference.model.conftest import Room, make_picture, save_adapter
from tests.inference.trace.alike import assert_alike

TEXT = r".*language_model.*(q_proj|v_proj)"


@pytest.fixture(scope="module")
def towers_folder(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters of the text, of the vision tower's blocks, of its merger, and of both towers."""
    folder = tmp_path_factory.mktemp("towers")
    modules = {
        "text": TEXT,
        "blocks": r".*visual\.blocks.*qkv",
        "merger": r".*visual\.(merger|deepstack_merger_list).*linear_fc1",
        "both": rf"{TEXT}|.*visual\.blocks\.1\..*linear_fc2",
    }
    for number, (name, pattern) in enumerate(modules.items()):
        save_adapter(base_folder, folder / name, seed=number, target_modules=pattern)
    return folder


@pytest.fixture(scope="module")
def engine(loaded: LoadedModel, towers_folder: Path) -> ModelEngine:
    """One that runs variants one after another: what is shared is seen with no other difference."""
    return ModelEngine(loaded, Settings(), lambda: find_adapters(towers_folder), most_rows=1)


@pytest.fixture
def seen(loaded: LoadedModel) -> Any:
    """The patches of each run of the vision tower."""
    runs: list[int] = []
    handle = loaded.model.model.visual.register_forward_hook(lambda _, given, __: runs.append(len(given[0])))
    yield runs
    handle.remove()


def ask(engine: ModelEngine, folder: Path, *labels: str, pictures: int = 2) -> Session:
    images = tuple(make_picture(200 - 30 * number, 100, seed=number) for number in range(pictures))
    request = Request(
        "What shape is the red object?",
        images,
        tuple(map(parse_variant, labels)),
        generation=Generation(max_new_tokens=3),
        keep=Keep(numbers="float32"),
    )
    *steps, session = engine.run(request, folder)
    assert isinstance(session, Session) and all(isinstance(step, Progress) for step in steps)
    return session


@pytest.mark.parametrize(
    ("labels", "times"),
    [
        (("base", "text", "text@-2"), 1),
        (("text",), 1),
        (("blocks",), 1),
        (("base", "blocks"), 2),
        (("blocks", "base", "merger", "text", "both", "text+merger"), 5),
        (("base", "blocks@0", "text+both@0"), 1),
    ],
    ids=str,
)
def test_the_tower_runs_once_for_all_that_share(
    engine: ModelEngine, room: Room, seen: list[int], labels: tuple[str, ...], times: int
) -> None:
    ask(engine, room(), *labels)
    assert len(seen) == times
    assert len(set(seen)) == 1


def test_no_picture_is_never_seen(engine: ModelEngine, room: Room, seen: list[int]) -> None:
    ask(engine, room(), "base", "blocks", pictures=0)
    assert seen == []


def test_each_look_is_told(engine: ModelEngine, room: Room) -> None:
    request = Request("What?", (make_picture(64, 64),), tuple(map(parse_variant, ("base", "text", "both"))))
    steps = [step for step in engine.run(request, room()) if isinstance(step, Progress)]
    assert [step.variant for step in steps if step.stage == "picture"] == ["base", "both"]


def test_sharing_changes_no_bit(
    engine: ModelEngine, room: Room, seen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, means, sums, scores and answers, with other adapters' parts on the tower and without sharing."""
    labels = ("base", "text", "both", "text@0.5", "merger")
    shared = ask(engine, room(), *labels)
    with monkeypatch.context() as patch:
        patch.setattr(AdapterBank, "leaves_pictures_alone", lambda *_: False)
        apart = ask(engine, room(), *labels)
    assert len(seen) == 3 + len(labels)
    for one, other in zip(shared.runs, apart.runs, strict=True):
        assert_alike(one.trace, other.trace)
        assert one.answer == other.answer
    assert len({run.trace.sums[0].tobytes() for run in shared.runs}) == len(labels)


def test_sharing_gives_the_same_logits(engine: ModelEngine, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """All numbers that the model gives at the first step, which scores tell only in part."""
    read: Callable[[Conversation], torch.Tensor] = Conversation.read_prompt

    def logits(*, share: bool) -> list[torch.Tensor]:
        found: list[torch.Tensor] = []

        def remembered(self: Conversation) -> torch.Tensor:
            found.append(read(self))
            return found[-1]

        with monkeypatch.context() as patch:
            if not share:
                patch.setattr(AdapterBank, "leaves_pictures_alone", lambda *_: False)
            patch.setattr(Conversation, "read_prompt", remembered)
            ask(engine, room(), "base", "text", "text@-1.5")
        return found

    shared, apart = logits(share=True), logits(share=False)
    assert len(shared) == 3
    assert all(torch.equal(one, other) for one, other in zip(shared, apart, strict=True))
    assert not torch.equal(shared[0], shared[1])


def test_features_may_be_used_any_number_of_times(loaded: LoadedModel, engine: ModelEngine, room: Room) -> None:
    """Nothing in them is changed or used up by a run."""
    one = ask(engine, room(), "base", "text")
    other = ask(engine, room(), "text", "base")
    assert_alike(one.run("text").trace, other.run("text").trace)
    assert_alike(one.run("base").trace, other.run("base").trace)
