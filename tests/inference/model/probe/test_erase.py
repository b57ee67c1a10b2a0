"""A box painted over is the question asked about the painted picture; each picture is seen no more than is needed."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inference.catalog import find_adapters
from inference.evidence.painting import Canvas
from inference.evidence.trials import Block, Erase, Probe, Switch, Trial, Watch
from inference.model.decode import see_pictures
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel
from inference.settings import Settings
from inference.trace.parse import parse_variant
from inference.trace.request import BASE, Picture, Request
from tests.inference.model.conftest import make_picture, save_adapter
from tests.inference.model.probe.trying import SAID, attempt, make_request, probe

TWO = make_request(make_picture(200, 100), make_picture(100, 170, seed=1))
ERASES = [
    Erase((10, 20, 90, 77)),
    Erase((10, 20, 90, 77), fill="mean"),
    Erase((0, 100, 64, 170), image=1, fill="blur"),
    Erase((0.4, 0, 200, 100)),
]
SEEING = parse_variant("seeing")


@pytest.fixture(scope="module")
def engine(loaded: LoadedModel, base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelEngine:
    folder = tmp_path_factory.mktemp("towers")
    save_adapter(base_folder, folder / "seeing", seed=9, target_modules=r".*visual\.blocks.*qkv|.*q_proj")
    save_adapter(base_folder, folder / "text", seed=4, target_modules=r".*language_model.*v_proj")
    return ModelEngine(loaded, Settings(), lambda: find_adapters(folder))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many pictures the vision tower saw, look by look."""
    found: list[int] = []

    def counted(loaded: LoadedModel, pixels: Any) -> Any:
        found.append(len(pixels.grids()))
        return see_pictures(loaded, pixels)

    monkeypatch.setattr("inference.model.probe.sight.see_pictures", counted)
    yield found


def painted(request: Request, erase: Erase) -> Request:
    """The request with the box painted over before it is asked."""
    buffer = io.BytesIO()
    Image.fromarray(Canvas(request.images[erase.image]).erased(erase.box, erase.fill)).save(buffer, "PNG")
    old = request.images[erase.image]
    new = Picture(buffer.getvalue(), old.width, old.height)
    images = (*request.images[: erase.image], new, *request.images[erase.image + 1 :])
    return replace(request, images=images)


@pytest.mark.parametrize("label", ["base", "seeing"])
def test_it_is_the_question_about_the_painted_picture(engine: ModelEngine, label: str) -> None:
    watch = Watch(40, image=1)
    ours = attempt(engine, ERASES, label=label, request=TWO, watch=watch)
    for erase, outcome in zip(ERASES, ours, strict=True):
        (expected,) = attempt(engine, [None], label=label, request=painted(TWO, erase), watch=watch)
        np.testing.assert_allclose(outcome.logprobs, expected.logprobs, atol=2e-5)
        assert outcome.map is not None and expected.map is not None
        np.testing.assert_allclose(outcome.map, expected.map, atol=1e-6)
    (plain,) = attempt(engine, [None], label=label, request=TWO)
    assert all(np.abs(np.subtract(outcome.logprobs, plain.logprobs)).max() > 1e-3 for outcome in ours)


def test_erased_and_blocked_and_plain_go_side_by_side(engine: ModelEngine) -> None:
    changes = [None, ERASES[0], Block((0, 1)), ERASES[2]]
    together = attempt(engine, changes, request=TWO)
    for change, outcome in zip(changes, together, strict=True):
        (alone,) = attempt(engine, [change], request=TWO)
        np.testing.assert_allclose(outcome.logprobs, alone.logprobs, atol=1e-5)


def test_no_picture_is_seen_twice_by_the_same_eyes(engine: ModelEngine, looks: list[int]) -> None:
    """Both pictures as they are; three painted ones of the first, and one of the second."""
    variants = (BASE, parse_variant("text"), parse_variant("text@0.5"), parse_variant("seeing@0"))
    trials = [Trial(SAID, variant, change) for variant in variants for change in (None, *ERASES)]
    probe(engine, Probe(TWO, (*trials, Trial(SAID, SEEING, Switch(kinds=("vision",))))))
    assert sorted(looks) == [1, 2, 3]
    looks.clear()
    probe(engine, Probe(TWO, (*trials, *(replace(trial, variant=SEEING) for trial in trials[:5]))))
    assert sorted(looks) == [1, 1, 2, 2, 3, 3]


def test_one_picture_and_one_row_at_a_time(loaded: LoadedModel, engine: ModelEngine, looks: list[int]) -> None:
    single = ModelEngine(loaded, Settings(), lambda: (), most_rows=1)
    trials = tuple(Trial(SAID, BASE, change) for change in (None, *ERASES, ERASES[0]))
    apart, together = probe(single, Probe(TWO, trials)), probe(engine, Probe(TWO, trials))
    assert (apart.passes, together.passes) == (6, 1)
    # Both as they are; then each painted one for its own pass, and the first again, for it was dropped in between.
    assert looks == [2, 1, 1, 1, 1, 1, 3, 1, 2]
    for one, other in zip(apart.outcomes, together.outcomes, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-5)


def test_several_passes_of_several_variants_share_what_is_painted(
    engine: ModelEngine, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.model.probe.stage.passes_that_fit", lambda *_, **__: 3)
    trials = tuple(Trial(SAID, variant, erase) for variant in (BASE, parse_variant("text")) for erase in ERASES)
    assert probe(engine, Probe(TWO, trials)).passes == 4
    assert sum(looks) == 2 + len(ERASES)
