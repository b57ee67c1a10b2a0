"""The benchmark of change: its arithmetic on hand-made drops, what it draws, and the whole of it on a scene each."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import change, change_exact, change_found
from benchmarks.change import found_figures, main
from benchmarks.change_found import Drops, none_share, share
from benchmarks.change_scenes import LEARNERS, Asker, draw, empty_windows
from benchmarks.shapes import load_miniature
from benchmarks.variants_ways import draw_adapter
from inference.catalog import read_adapter

KEYS = (
    "shortcut_knockout_mark_drop",
    "shortcut_knockout_random_drop",
    "shortcut_knockout_object_drop",
    "base_knockout_object_drop",
    "base_knockout_random_drop",
    "other_knockout_other_drop",
    "other_knockout_random_drop",
    "found_knockout",
    "found_erase",
    "nothing_found",
    "disagreement_told",
    "disagreement_false",
    "zero_adapter_change",
    "vo_only_attention_change",
    "vo_only_logit_change",
    "planted_layer_first",
    "blocked_picture_effect",
    "exchange_all",
    "exchange_none",
)
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


def test_the_whole_benchmark_runs_on_a_scene_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["change", "--scenes", "1", "--planted", "1"])
    monkeypatch.setattr(change_exact, "SCENES", 1)
    monkeypatch.setattr(change_found, "DRAWS", 2)
    main()
    printed = capsys.readouterr().out.splitlines()
    told = json.loads(printed[-1])
    assert tuple(told) == KEYS
    for name in ("zero_adapter_change", "vo_only_attention_change", "blocked_picture_effect", "exchange_none"):
        assert told[name] == 0
    assert told["vo_only_logit_change"] > 0
    assert told["exchange_all"] == pytest.approx(1, abs=1e-3)
    assert told["shortcut_knockout_mark_drop"] > 3 * told["shortcut_knockout_random_drop"]
    for learner in LEARNERS:
        assert any(line.startswith(learner) for line in printed)


def test_of_shares_the_worst_learners_is_told() -> None:
    good = Drops(4, [8.0, 6.0], [1.0, 0.0], [0.5, 0.1], [True, True], [True, None], [True, True], [False, True])
    bad = Drops(2, [2.0, 4.0], [0.2, 0.2], [0.0, 0.2], [True, False], [None, None], [None, True], [True, True])
    figures = found_figures({"base": good, "shortcut": bad, "other": good, "renamed": good})
    assert figures["shortcut_knockout_mark_drop"] == 3 and figures["shortcut_knockout_object_drop"] == 0.2
    assert figures["base_knockout_object_drop"] == 7 and figures["base_knockout_random_drop"] == 0.3
    assert figures["found_knockout"] == 0.5 and figures["nothing_found"] == 1
    assert figures["disagreement_told"] == figures["disagreement_false"] == 0.5
    assert tuple(figures) == KEYS[: len(figures)]


def test_shares_are_of_scenes_in_which_anything_was_found() -> None:
    assert share([True, False, None, None]) == 0.5 and none_share([True, False, None, None]) == 0.5
    assert math.isnan(share([None]))


@pytest.mark.parametrize("learner", LEARNERS)
def test_questions_are_answered_by_the_learners_own_rule(learner: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        scene, asked = draw(rng, learner)
        if learner == "counting":
            assert asked.answer == str(len(scene.objects))
        else:
            assert asked.cause in scene.things
            assert (asked.cause == asked.about) == (learner == "base")


def test_background_windows_hold_nothing(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    asker = Asker(load_miniature("cpu"), tmp_path)
    for tried in itertools.islice(asker.tries("base", 1), 2):
        windows = empty_windows(np.random.default_rng(0), tried, 5)
        assert len(set(windows)) == 5
        cells = {cell for window in windows for cell in window.cells(tried.span)}
        assert not any(tried.scene.cell_px(thing).ravel()[list(cells)].any() for thing in tried.scene.things)


def test_an_adapter_is_drawn_on_chosen_modules_and_layers(tmp_path: Path) -> None:
    model = load_miniature("cpu").model
    facts = read_adapter(draw_adapter(model, tmp_path / "few", seed=1, modules=("q_proj",), layers=(2, 4)))
    assert facts.problems == () and facts.modules == ("q_proj",) and facts.layers == (2, 4)


def test_learners_sought_are_learners() -> None:
    assert set(change.SOUGHT) < set(LEARNERS)
