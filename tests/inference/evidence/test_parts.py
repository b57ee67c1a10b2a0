"""An adapter off by parts, with outcomes that are made by hand."""

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from inference.errors import SettingsError
from inference.evidence.parts import Parted, SwitchParts, Watched
from inference.evidence.trials import Findings, Outcome, Probe, Switch, Trial, Watch
from inference.trace.session import AdapterFacts, Session
from tests.fakes import FakeEngine, make_session
from tests.inference.evidence.asking import ask

FACTS = AdapterFacts("shortcut", "", modules=("k_proj", "q_proj", "up_proj"), towers=("text",), layers=(1, 3))
CARRIES = {("layer", 1): 0.75, ("layer", 3): 0.25, ("kind", "q"): 1.0, ("kind", "k"): 0.0, ("kind", "mlp"): 0.5}


@pytest.fixture
def session() -> Session:
    return replace(make_session(), adapters=(FACTS, replace(FACTS, name="other", modules=("v_proj",), layers=(0,))))


def outcome(trial: Trial, change: float) -> Outcome:
    """Log-probability and map go from the base's to the adapter's with what the parts that are on carry."""
    share = 0.0 if trial.variant.is_base else 1.0
    if isinstance(trial.change, Switch):
        switch = trial.change
        part = ("layer", switch.layers[0]) if switch.layers else ("kind", (switch.kinds or ("?",))[0])
        share = CARRIES[part] if switch.keep else 1 - CARRIES[part]
    grid = np.array([[0.2 * (1 - share), 0.2 * share]], np.float32)
    return Outcome((-5.0 + change * share, -1.0), grid)


def part(session: Session, *, change: float = 4.0, **options: Any) -> Parted:
    inquiry = SwitchParts("shortcut", **options)
    trials = inquiry.probe(session).trials
    return inquiry.read(session, Findings(tuple(outcome(trial, change) for trial in trials), (), 2, 0.5))


def test_each_layer_and_kind_is_switched_off_and_on_alone(session: Session) -> None:
    trials = SwitchParts("shortcut").probe(session).trials
    assert [trial.variant.label for trial in trials[:3]] == ["base", "shortcut", "shortcut"]
    assert [trial.change for trial in trials[:4]] == [None, None, Switch((1,), None, False), Switch((1,), None, True)]
    parts = [
        (change.layers, change.kinds) for change in (trial.change for trial in trials) if isinstance(change, Switch)
    ]
    expected = [((1,), None), ((3,), None), (None, ("q",)), (None, ("k",)), (None, ("mlp",))]
    assert parts == [one for each in expected for one in (each, each)]
    assert SwitchParts("shortcut").runs(session) == len(trials) == 12


def test_parts_lose_and_bring_what_they_carry(session: Session) -> None:
    told = part(session)
    assert told.change == pytest.approx(4.0) and told.base_logprob == -6 and told.whole == pytest.approx(1.0)
    first, _, query, key, _ = told.effects
    assert (first.layer, first.kind, query.layer, query.kind) == (1, None, None, "q")
    assert (first.loses, first.brings) == pytest.approx((3.0, 3.0))
    assert (first.loses_share, first.brings_share) == pytest.approx((0.75, 0.75))
    assert (first.off.from_adapter, first.off.from_base) == pytest.approx((0.75, 0.25))
    assert (first.alone.from_adapter, first.alone.from_base) == pytest.approx((0.25, 0.75))
    assert key.loses == key.brings == 0
    assert told.sentence == (
        "shortcut moves the log-probability of its words by +4.00 nats. Half of that or more is lost without "
        "q in all layers (100 %), layer 1 (75 %), mlp in all layers (50 %); half or more is brought alone by "
        "q in all layers (100 %), layer 1 (75 %), mlp in all layers (50 %)."
    )


def test_that_no_part_carries_half_is_told(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CARRIES:
        monkeypatch.setitem(CARRIES, name, 0.1)
    assert part(session).sentence.endswith(
        "+4.00 nats. Without any one part less than half of that is lost; half or more is brought alone by no single "
        "part."
    )


def test_shares_hold_for_a_change_downwards(session: Session) -> None:
    told = part(session, change=-4.0)
    first = told.effects[0]
    assert "-4.00 nats" in told.sentence and "layer 1 (75 %)" in told.sentence
    assert (first.loses, first.loses_share) == pytest.approx((-3.0, 0.75))


def test_a_tiny_change_is_not_divided(session: Session) -> None:
    told = part(session, change=0.009)
    assert all(effect.loses_share is None and effect.brings_share is None for effect in told.effects)
    assert "no part is named" in told.sentence
    assert part(session, change=0.4).effects[0].loses_share == pytest.approx(0.75)
    assert "no part is named" in part(session, change=0.4).sentence
    assert "no part is named" not in part(session, change=0.6).sentence


def test_the_map_watched_is_that_of_the_token(session: Session) -> None:
    tokens = session.run("shortcut").trace.tokens
    first = next(token for token in tokens if token.part == "answer")
    assert SwitchParts("shortcut").probe(session).watch == Watch(first.row_at)
    assert SwitchParts("shortcut", token=1, layer=2, head=0).probe(session).watch == Watch(tokens[1].row_at, 2, 0)
    assert part(session).watched == Watched(first.text, None, None)
    assert part(session, token=1, layer=2, head=0).watched == Watched(tokens[1].text, 2, 0)


def test_without_a_picture_no_map_is_watched() -> None:
    session = replace(make_session(images=0), adapters=(FACTS,))
    engine = FakeEngine()
    told = ask(engine, session, SwitchParts("shortcut"))
    assert engine.probes[0].watch is None
    assert told.watched is None and told.whole is None and told.effects[0].off.from_base is None


def test_vision_is_a_kind_and_other_modules_are_told(session: Session) -> None:
    probe: Probe = SwitchParts("shortcut").probe(
        replace(session, adapters=(replace(FACTS, modules=("qkv", "q_proj"), towers=("text", "vision"), layers=(1,)),))
    )
    assert [trial.change for trial in probe.trials][-2:] == [
        Switch(None, ("vision",), False),
        Switch(None, ("vision",), True),
    ]
    told = part(replace(session, adapters=(replace(FACTS, modules=("q_proj", "lm_head")),)))
    assert told.notes == ("shortcut also touches lm_head, which no kind of part stands for.",)


@pytest.mark.parametrize("options", [{"variant": "base"}, {"variant": "none"}, {"variant": "shortcut", "token": 99}])
def test_options_that_do_not_fit_are_refused(session: Session, options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        SwitchParts(**options).probe(session)


def test_a_session_that_knows_no_parts_is_refused() -> None:
    with pytest.raises(SettingsError, match="parts"):
        SwitchParts("shortcut").probe(make_session())


def test_an_adapter_that_no_part_stands_for_is_refused_by_what_it_touches() -> None:
    session = replace(make_session(), adapters=(AdapterFacts("shortcut", "", modules=("lm_head",)),))
    with pytest.raises(SettingsError, match="shortcut, which touches lm_head"):
        SwitchParts("shortcut").probe(session)


def test_findings_are_plain_data(session: Session) -> None:
    assert json.loads(json.dumps(asdict(part(session))))["effects"][0]["layer"] == 1
