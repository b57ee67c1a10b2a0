"""A sweep of strength through a model: the base at 0, the adapter's own answer at 1, what was asked in between."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from inference.evidence.sweep import Place, Sweep, own_answer, own_logprob, own_request, read_sweep, reread_note
from inference.model.engine import ModelEngine
from inference.trace.request import Generation, Keep, Request
from inference.trace.session import Session
from tests.inference.model.asking import finish, make_request
from tests.inference.model.conftest import HEADS, LAYERS

SWEEP = Sweep("alpha", (1.5, -0.5, 0.0, 1.0, 1e-3))
ONE_WORD = Generation(1)
"""Random models write what no text would be read as, but for single words."""
LAST = Place(slice(-1, None))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweeps")


@pytest.fixture(scope="module")
def asked(engine: ModelEngine, folder: Path) -> Session:
    return _ask(engine, make_request("base", "alpha", keep=Keep(numbers="float32"), generation=ONE_WORD), folder)


@pytest.fixture(scope="module")
def swept(engine: ModelEngine, asked: Session, folder: Path) -> Session:
    return _ask(engine, SWEEP.request(asked.request, own_answer(asked, "alpha")), folder)


_numbers = itertools.count()


def _ask(engine: ModelEngine, request: Request, folder: Path) -> Session:
    made = folder / str(next(_numbers))
    made.mkdir()
    return finish(engine.run(request, made))


def test_a_sweep_says_the_bases_answer_at_every_scale_and_keeps_pictures_alone(asked: Session, swept: Session) -> None:
    assert [run.variant.label for run in swept.runs] == ["base", "alpha@-0.5", "alpha@0.001", "alpha", "alpha@1.5"]
    assert {run.answer for run in swept.runs} == {asked.run("base").answer}
    assert swept.runs[0].trace.rows.shape[1:3] == (LAYERS, HEADS)
    for run in swept.runs:
        assert (run.trace.keys, run.trace.rows.dtype.name) == ("pictures", "float16")


def test_its_answers_are_as_likely_as_in_the_session_that_it_was_made_from(asked: Session, swept: Session) -> None:
    strength = read_sweep(swept, LAST)
    points = {point.scale: point for point in strength.points}
    assert list(points) == [-0.5, 0, 1e-3, 1, 1.5]
    for label, scale in (("base", 0), ("alpha", 1)):
        tokens = asked.run(label).trace.tokens
        said = sum(token.scores.logprob for token in tokens if token.scores)
        point = points[scale]
        assert (point.base_logprob if label == "base" else point.own_logprob) == pytest.approx(said, abs=1e-5)
    assert (strength.base_answer, strength.own_answer) == tuple(asked.run(label).answer for label in ("base", "alpha"))
    assert not strength.alike
    assert points[0].own_logprob < points[1].own_logprob  # type: ignore[operator]


def test_it_starts_from_the_base_without_a_jump(swept: Session) -> None:
    points = {point.scale: point for point in read_sweep(swept, LAST).points}
    assert points[0].variation == 0
    assert points[1e-3].base_logprob == pytest.approx(points[0].base_logprob, abs=0.01)
    assert points[1e-3].variation == pytest.approx(0, abs=0.01)
    assert points[1].variation > 0.01  # type: ignore[operator]


def test_an_adapter_at_scale_0_is_what_a_sweep_shows_there(engine: ModelEngine, folder: Path) -> None:
    asked = make_request("base", "alpha@0", "alpha", words="base", keep=Keep(numbers="float32"))
    base, zero, _ = _ask(engine, asked, folder).runs
    assert np.abs(base.trace.rows - zero.trace.rows).max() < 1e-5
    said, again = ([token.scores.logprob for token in run.trace.tokens if token.scores] for run in (base, zero))
    assert again == pytest.approx(said, abs=1e-5)


def test_the_own_answer_is_asked_for_where_it_is_not_known(engine: ModelEngine, asked: Session, folder: Path) -> None:
    alone = _ask(engine, own_request(asked.request, "alpha"), folder)
    assert [run.answer for run in alone.runs] == [asked.run("alpha").answer]
    again = _ask(engine, make_request("base", "alpha", words="base", generation=ONE_WORD), folder)
    assert own_answer(again, "alpha") is None
    assert own_answer(asked, "beta") is None
    assert own_answer(alone, "alpha") == own_answer(asked, "alpha")


def test_an_own_answer_that_is_read_again_as_other_tokens_is_told(
    engine: ModelEngine, asked: Session, swept: Session, folder: Path
) -> None:
    assert reread_note(swept, "alpha", own_logprob(asked, "alpha")) == ""
    assert reread_note(swept, "alpha", None) == ""
    babble = _ask(engine, make_request("base", "alpha", generation=Generation(6)), folder)
    said = own_logprob(babble, "alpha")
    again = _ask(engine, SWEEP.request(babble.request, own_answer(babble, "alpha")), folder)
    other = again.run("alpha").expected_logprob
    assert said is not None and other is not None and abs(said - other) > 1
    note = reread_note(again, "alpha", said)
    assert f"at scale 1 they have {other:.2f} nats, where those that it said had {said:.2f}" in note


def test_a_sweep_keeps_the_tokens_that_were_asked_for(engine: ModelEngine, asked: Session, folder: Path) -> None:
    whole = _ask(engine, make_request("base", "alpha", keep=Keep(prompt=True), generation=ONE_WORD), folder)
    sweep = _ask(engine, SWEEP.request(whole.request, own_answer(whole, "alpha")), folder)
    assert [token.position for token in sweep.runs[0].trace.tokens] == [
        token.position for token in whole.runs[0].trace.tokens
    ]
