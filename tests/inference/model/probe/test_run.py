"""The order of trials, who runs beside whom, and that the model is the base again however it ends."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference.errors import AdapterError, ModelError, SettingsError, VisualizerError
from inference.evidence.trials import Block, Erase, Findings, Probe, Switch, Trial, Watch
from inference.in_process import InProcessEngine
from inference.model import plan
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel
from inference.model.plan import passes_that_fit, pictures_that_fit
from inference.model.probe import run as run_module
from inference.model.probe.stage import Stage
from inference.protocol import Progress
from inference.settings import Settings
from inference.trace.parse import parse_variant
from inference.trace.request import BASE
from tests.inference.model.asking import finish
from tests.inference.model.asking import make_request as make_asked
from tests.inference.model.conftest import Room, logits
from tests.inference.model.probe.trying import SAID, make_request, probe

ALPHA, BETA = parse_variant("alpha"), parse_variant("beta")
MIXED = (
    Trial(SAID, ALPHA, Block((1,))),
    Trial(SAID),
    Trial(SAID[:2]),
    Trial(SAID, ALPHA),
    Trial(SAID, ALPHA, Switch()),
    Trial(SAID, BETA, Switch(kinds=("k",))),
    Trial(SAID, BETA),
    Trial(SAID, change=Erase((0, 0, 50, 50))),
    Trial(SAID, ALPHA, Switch(layers=(1,))),
)
PLAIN = {"input_ids": torch.tensor([[301, 290, 350, 333]])}


@pytest.fixture(scope="module")
def single(loaded: LoadedModel, engine: ModelEngine) -> ModelEngine:
    return ModelEngine(loaded, Settings(), engine.adapters, most_rows=1)


def asked(*trials: Trial, watch: Watch | None = None) -> Probe:
    return Probe(make_request(), trials or MIXED, watch=watch)


def steps_of(run: Generator[Progress | Findings, None, None]) -> tuple[list[Progress], Findings]:
    *steps, found = run
    assert isinstance(found, Findings)
    return [step for step in steps if isinstance(step, Progress)], found


def test_outcomes_come_in_the_order_of_the_trials(engine: ModelEngine, single: ModelEngine) -> None:
    steps, together = steps_of(engine.probe(asked(watch=Watch(9))))
    # All that is base at these words; the shorter words; alpha; alpha without a layer; beta, which has no k.
    assert together.passes == 5
    assert [(step.stage, step.done, step.total) for step in steps] == [("trials", done, 5) for done in range(6)]
    apart = probe(single, asked(watch=Watch(9)))
    assert apart.passes == len(MIXED)
    for trial, one, other in zip(MIXED, together.outcomes, apart.outcomes, strict=True):
        alone = probe(engine, asked(trial, watch=Watch(9))).outcomes[0]
        assert len(one.logprobs) == len(trial.said)
        for theirs in (other, alone):
            np.testing.assert_allclose(one.logprobs, theirs.logprobs, atol=1e-5)
            assert one.map is not None and theirs.map is not None
            np.testing.assert_allclose(one.map, theirs.map, atol=1e-6)
    assert together.seconds > 0
    assert together.shares == ()


def test_a_trial_with_no_change_is_what_the_question_gave(engine: ModelEngine, room: Room) -> None:
    """The log-probability of every word under every variant, and the map of the row that predicts one."""
    session = finish(engine.run(make_asked("base", "alpha", "beta@-2", words="base"), room()))
    said = tuple(token.id for token in session.runs[0].trace.tokens if token.part == "answer")
    trials = tuple(Trial(said, run.variant) for run in session.runs)
    found = probe(engine, Probe(session.request, trials, watch=Watch(session.runs[0].trace.tokens[-2].row_at)))
    for run, outcome in zip(session.runs, found.outcomes, strict=True):
        scores = [token.scores for token in run.trace.tokens if token.scores]
        np.testing.assert_allclose(outcome.logprobs, [score.logprob for score in scores], atol=1e-5)
        cells = run.trace.means[-2, run.trace.columns(0)].astype(np.float32)
        assert outcome.map is not None
        np.testing.assert_allclose(outcome.map.ravel(), cells, rtol=2**-10, atol=1e-6)


def test_others_wait_their_turn(engine: ModelEngine) -> None:
    first = engine.probe(asked())
    assert next(first) == Progress("trials", done=0, total=5)
    second = engine.probe(asked())
    assert [next(second) for _ in range(2)] == [Progress("waiting")] * 2
    first.close()
    assert next(second) == Progress("trials", done=0, total=5)
    second.close()


@pytest.mark.parametrize("stop", range(1, 7))
def test_closing_leaves_the_base(engine: ModelEngine, loaded: LoadedModel, stop: int) -> None:
    probe(engine, asked())
    pure = logits(loaded, PLAIN)
    run = engine.probe(asked())
    for _ in range(stop):
        next(run)
    run.close()
    assert torch.equal(logits(loaded, PLAIN), pure)
    assert loaded.text_config._attn_implementation == "sdpa"
    assert probe(engine, asked()).passes == 5


def test_too_little_memory_is_one_sentence(
    engine: ModelEngine, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    pure = logits(loaded, PLAIN)

    def breaks(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patch, pytest.raises(SettingsError, match="that fits into the device's memory"):
        patch.setattr(run_module, "read_outcomes", breaks)
        probe(engine, asked())
    assert torch.equal(logits(loaded, PLAIN), pure)
    assert probe(engine, asked()).passes == 5


@pytest.mark.parametrize(
    ("trial", "error", "says"),
    [
        (Trial(SAID, parse_variant("nobody")), AdapterError, "an adapter among alpha, beta, got 'nobody'"),
        (Trial(SAID, change=Block((18,))), SettingsError, "a cell from 0 to 17, got 18"),
        (Trial(SAID, change=Block((1,), heads=((5, 0),))), SettingsError, "a layer from 0 to 4, got 5"),
        (Trial(SAID, change=Switch(layers=(7,))), SettingsError, "a layer from 0 to 4, got 7"),
        (Trial((10**6,)), SettingsError, "words made of tokens from 0 to"),
        (Trial((301,) * 2048), SettingsError, "at most 2,048 tokens of pictures, text and answer"),
        (Trial(()), SettingsError, "1 to 4,000 tokens that are said, got 0"),
    ],
)
def test_what_cannot_be_tried_is_one_sentence(
    engine: ModelEngine, trial: Trial, error: type[VisualizerError], says: str
) -> None:
    with pytest.raises(error, match=says):
        probe(engine, asked(trial))
    assert probe(engine, asked()).passes == 5


def test_the_pictures_own_token_cannot_be_said(engine: ModelEngine, loaded: LoadedModel) -> None:
    token = loaded.model.config.image_token_id
    with pytest.raises(SettingsError, match=f"none of them a picture's, got {token}"):
        probe(engine, asked(Trial((token, 301))))


def test_numbers_that_are_not_finite_are_told(engine: ModelEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Stage.forward

    def overflows(*given: Any, **named: Any) -> Any:
        logits, maps = forward(*given, **named)
        return logits.index_fill(0, torch.tensor([len(logits) - 1]), torch.nan), maps

    monkeypatch.setattr(Stage, "forward", overflows)
    with pytest.raises(ModelError, match="log-probabilities that are finite numbers, got others: set the dtype"):
        probe(engine, asked())


def test_more_than_fit_become_several_passes(engine: ModelEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.model.probe.stage.passes_that_fit", lambda *_, **__: 3)
    trials = [Trial(SAID, variant, Erase((0, 0, 50 + at, 50))) for variant in (BASE, ALPHA) for at in range(7)]
    steps, found = steps_of(engine.probe(asked(*trials)))
    assert found.passes == 6
    assert steps[-1] == Progress("trials", done=6, total=6)
    for trial, outcome in zip(trials[::5], found.outcomes[::5], strict=True):
        np.testing.assert_allclose(outcome.logprobs, probe(engine, asked(trial)).outcomes[0].logprobs, atol=1e-5)


def test_room_is_counted_in_masks_logits_and_pictures(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "free_bytes", lambda device: 2 * 10**9)
    monkeypatch.setattr(plan, "_PASS_TOKENS", {"cpu": 10**9})
    few, many = passes_that_fit(loaded, 100, 1, 9), passes_that_fit(loaded, 1000, 1, 9)
    assert few > many > passes_that_fit(loaded, 1000, 1, 9, by_head=True) > 1
    # A mask of 10,000 by 10,000 places takes 6 bytes for each.
    assert passes_that_fit(loaded, 10_000, 1, 9) == 1
    assert passes_that_fit(loaded, 1000, 400, 9) < many > passes_that_fit(loaded, 1000, 1, 90_000)
    assert pictures_that_fit(loaded, 100) > pictures_that_fit(loaded, 1000) > pictures_that_fit(loaded, 10**9) == 1


def test_a_pass_is_short_enough_to_wait_for(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "free_bytes", lambda device: 10**15)
    assert [passes_that_fit(loaded, length, 1, 9) for length in (1, 100, 1025, 9000)] == [2048, 20, 1, 1]
    elsewhere = replace(loaded, device=torch.device("meta"))
    assert passes_that_fit(elsewhere, 100, 1, 9) == 163
    # A token stands for 2 x 2 patches.
    assert [pictures_that_fit(loaded, patches) for patches in (4, 400, 9000)] == [2048, 20, 1]


def test_the_engine_of_this_process_loads_and_tries(base_folder: Path, adapters_folder: Path) -> None:
    engine = InProcessEngine(Settings(model=str(base_folder), adapters=adapters_folder, device="cpu"))
    steps, found = steps_of(engine.probe(asked()))
    assert steps[0].stage == "loading"
    assert found.passes == 5
    with pytest.raises(SettingsError, match="1 to 4,096 trials"):
        list(engine.probe(Probe(make_request())))
