"""On the miniature it is known what answers, and knock-out must find it; a few scenes each, through the real engine.

`python -m benchmarks.change` measures the same on a hundred.
"""

import itertools

import numpy as np
import pytest
import torch

from benchmarks.change_found import BoxCosts, measure, share
from benchmarks.change_scenes import LEARNERS, Asker, Tried, empty_windows
from benchmarks.shapes import load_miniature
from inference.evidence.calibration import find_calibration, load_calibrations
from inference.evidence.dependence import Dependence
from inference.evidence.drops import LEAST_DROP
from inference.evidence.knockout import KnockOut
from inference.evidence.pictured import DependsOnPicture
from inference.mini import BASE_DIR

SCENES, SEED = 3, 50_000_000
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Asker:
    torch.set_num_threads(1)
    return Asker(load_miniature("cpu"), tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="module")
def scenes(asker: Asker) -> dict[str, list[Tried]]:
    """Of each learner the first that it answers by its rule."""
    return {
        learner: list(itertools.islice((tried for tried in asker.tries(learner, SEED) if tried.follows), SCENES))
        for learner in LEARNERS
    }


@pytest.mark.parametrize("learner", ["base", "shortcut", "other", "renamed"])
def test_what_answers_is_what_costs_most(asker: Asker, scenes: dict[str, list[Tried]], learner: str) -> None:
    found = []
    for tried in scenes[learner]:
        things, cause = tried.scene.things, tried.asked.cause
        assert cause is not None
        for costs in asker.find(tried.session, BoxCosts(tuple(map(tried.box, things)))):
            # Where nothing costs much the answer was the model's guess for any picture.
            found += [things[int(np.argmax(costs))] is cause] if max(costs) >= LEAST_DROP else []
    assert len(found) > SCENES and all(found)


def test_the_mark_costs_the_shortcut_thrice_what_chance_boxes_do_and_the_object_does_not(
    asker: Asker, scenes: dict[str, list[Tried]]
) -> None:
    for tried in scenes["shortcut"]:
        assert tried.scene.mark is not None and tried.asked.about is not None
        (mark,) = asker.find(tried.session, KnockOut(tried.box(tried.scene.mark))).knocked
        (about,) = asker.find(tried.session, KnockOut(tried.box(tried.asked.about), draws=0)).knocked
        assert mark.random is not None and len(mark.random.drops) == 20
        assert mark.drop >= 3 * mark.random.most and mark.finding == "more than random"
        assert about.drop < 0.5 and about.finding == "no dependence found"


def test_any_object_costs_the_count_more_than_background(asker: Asker, scenes: dict[str, list[Tried]]) -> None:
    objects, background = [], []
    for tried in scenes["counting"]:
        boxes = [tried.box(thing) for thing in tried.scene.objects]
        empty = [window.box(tried.span) for window in empty_windows(np.random.default_rng(0), tried, len(boxes))]
        blocked, _ = asker.find(tried.session, BoxCosts((*boxes, *empty)))
        objects += blocked[: len(boxes)]
        background += blocked[len(boxes) :]
    assert np.mean(objects) >= 0.5 > 3 * np.mean(background)


def test_the_grid_of_windows_peaks_on_what_answers(asker: Asker) -> None:
    found = measure(asker, "shortcut", 2, SEED, (), lambda: None)
    assert share(found.peaks) == 1 and found.different == [False, False]


def test_attention_elsewhere_is_told_of_other_and_not_of_the_base(asker: Asker, scenes: dict[str, list[Tried]]) -> None:
    calibrations, told = load_calibrations(BASE_DIR), {}
    for learner in ("base", "other"):
        calibrated = [find_calibration(calibrations, tried.session) for tried in scenes[learner]]
        swept = [
            asker.find(tried.session, Dependence(calibration=calibration)).swept[0]
            for tried, calibration in zip(scenes[learner], calibrated, strict=True)
        ]
        told[learner] = [one.pointing for one in swept]
    assert told["base"] == ["the same place"] * SCENES
    assert told["other"].count("different places") >= 2


def test_the_answer_depends_on_the_picture(asker: Asker, scenes: dict[str, list[Tried]]) -> None:
    (told,) = asker.find(scenes["shortcut"][0].session, DependsOnPicture())
    assert told.depends and told.before > 0.8 > 0.5 > told.after
