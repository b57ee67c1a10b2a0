"""The runs of a noise floor and of a neutral question on a real, small model."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from inference.evidence.floor import Plan, check_same_words, floor_heads, floor_requests, kind_of, pairings
from inference.evidence.neutral import neutral_request
from inference.model.engine import ModelEngine
from inference.trace import compare, maps, sinks
from inference.trace.parse import parse_variant
from inference.trace.request import BASE
from inference.trace.session import Session
from tests.inference.model.asking import finish, make_request
from tests.inference.model.conftest import Room


def asked(engine: ModelEngine, room: Room) -> Session:
    return finish(engine.run(replace(make_request("base", "alpha"), forced_answer="a red circle"), room()))


def run_all(engine: ModelEngine, room: Room, plan: Plan) -> Sequence[Session]:
    return [finish(engine.run(rerun.request, room())) for rerun in plan.reruns]


def test_runs_again_say_the_same_words_and_differ_little(room: Room, engine: ModelEngine) -> None:
    session = asked(engine, room)
    plan = floor_requests(session)
    reruns = run_all(engine, room, plan)
    said = [token.id for token in session.runs[0].trace.tokens if token.part == "answer"]
    for rerun, planned in zip(reruns, plan.reruns, strict=True):
        assert kind_of(session, rerun) == planned.kind
        check_same_words(session, rerun)
        for run in rerun.runs:
            assert [token.id for token in run.trace.tokens if token.part == "answer"] == said
    last = len(session.runs[0].trace.tokens) - 1
    found = pairings(session, reruns, "base", "alpha", slice(last, last + 1))
    assert sorted(one.kind for one in found) == sorted(["shift", "jpeg", "question"] * 2 + ["shuffle"] * 2)
    floors = floor_heads(found, lambda one: compare.heads_apart(one.a, one.b, "variation", tokens=one.tokens))
    assert all(np.isfinite(floor).all() and floor.any() for floor in floors.values())
    assert [run.variant.label for run in reruns[-1].runs] == ["alpha~2"]
    assert [facts.name for facts in reruns[-1].adapters] == ["alpha~2"]


def test_the_same_again_has_no_noise_but_rounding(room: Room, engine: ModelEngine) -> None:
    session = asked(engine, room)
    plain = floor_requests(session).reruns[0].request
    again = finish(engine.run(replace(plain, images=session.request.images), room()))
    for label in ("base", "alpha"):
        a, b = session.run(label).trace, again.run(label).trace
        apart = compare.head_change(a, b, "variation", tokens=slice(0, len(a.tokens)))
        assert float(apart.max()) < 2e-3


def test_a_shuffled_adapter_beside_the_trained_one_changes_neither(room: Room, engine: ModelEngine) -> None:
    drawn = replace(parse_variant("alpha"), adapters=(replace(parse_variant("alpha").adapters[0], shuffle=5),))
    plain = make_request("base", "alpha")
    before = finish(engine.run(plain, room()))
    finish(engine.run(replace(plain, variants=(BASE, drawn)), room()))
    after = finish(engine.run(plain, room()))
    for label in ("base", "alpha"):
        np.testing.assert_array_equal(before.run(label).trace.rows, after.run(label).trace.rows)


def test_the_same_question_as_neutral_question_is_zero_everywhere(room: Room, engine: ModelEngine) -> None:
    session = asked(engine, room)
    plain = neutral_request(session, session.request.question)
    neutral = finish(engine.run(replace(plain, forced_answer="a red circle"), room()))
    for run in session.runs:
        trace, other = run.trace, neutral.run(run.variant.label).trace
        for token in range(len(trace.tokens)):
            tokens = slice(token, token + 1)
            now = maps.image_map(trace, tokens=tokens, layer=2, head=1)
            then = sinks.neutral_map(trace, other, tokens=tokens, layer=2, head=1)
            assert sinks.relative_map(now.ravel(), then.ravel()) == pytest.approx(0, abs=1e-6)
