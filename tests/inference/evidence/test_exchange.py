"""Shares of an answer's change, from outcomes of a made world in which it is known what every piece does."""

import dataclasses
import json
from dataclasses import replace

import pytest

from inference.errors import SettingsError
from inference.evidence.exchange import SINGLE, Exchanged, ExchangePieces
from inference.evidence.inquiry import inquire
from inference.evidence.trials import Exchange, Findings, Outcome, Piece, Trial
from inference.trace.session import Session
from tests.fakes import HEADS, LAYERS, FakeEngine, make_session

WEIGHTS = {Piece("pictures"): 0.5, Piece("attention", 1): 1.5, Piece("mlp", 3): -0.25}
PAIR = {Piece("attention", 0), Piece("mlp", 4)}
TOGETHER = 2.25
"""In nats: what the pair adds where both are the adapter's, and neither does alone."""


def everything() -> set[Piece]:
    return {Piece("pictures")} | {Piece(part, layer) for part in ("attention", "mlp") for layer in range(LAYERS)}


def total(trial: Trial, size: float = 1.0) -> float:
    """-5 nats for the base; `size` times 4 more with all of the adapter's pieces in place."""
    assert isinstance(trial.change, Exchange) and trial.variant != trial.change.donor
    given = set(trial.change.pieces)
    active = given if trial.variant.is_base else everything() - given
    gained = sum(weight for piece, weight in WEIGHTS.items() if piece in active) + TOGETHER * (active >= PAIR)
    return -5 + size * gained


def find(asked: ExchangePieces, session: Session, size: float = 1.0) -> Exchanged:
    trials = asked.probe(session).trials
    outcomes = tuple(Outcome((0.25 * (own := total(trial, size)), 0.75 * own)) for trial in trials)
    return asked.read(session, Findings(outcomes, (), 9, 1.5, ("Told by the engine.",)))


@pytest.fixture
def session() -> Session:
    return make_session()


def test_a_piece_brings_what_it_adds_to_the_base_and_loses_what_the_adapter_misses(session: Session) -> None:
    found = find(ExchangePieces("shortcut"), session)
    assert (found.base_logprob, found.variant_logprob, found.change) == (-5, -1, 4)
    carried = {Piece(one.component, one.layer, one.head): one for one in found.pieces}
    assert carried.keys() == everything()
    for piece, one in carried.items():
        weight = WEIGHTS.get(piece, 0)
        lost = weight + TOGETHER * (piece in PAIR)
        assert (one.brings, one.loses) == pytest.approx((weight, lost))
        assert (one.brings_share, one.loses_share) == pytest.approx((weight / 4, lost / 4))


@pytest.mark.parametrize(
    ("donor", "shares"),
    [
        ("adapter", [0.5, 0.5, 2, 2, 1.75, 4]),
        # The pair is undone as soon as one of the two is the base's.
        ("base", [0.5, 2.75, 4.25, 4.25, 4, 4]),
    ],
)
def test_from_the_first_layer_up_the_pieces_together_end_at_the_whole(
    session: Session, donor: str, shares: list[float]
) -> None:
    found = find(ExchangePieces("shortcut", donor=donor), session)  # type: ignore[arg-type]
    assert [upto.layer for upto in found.cumulative] == [None, 0, 1, 2, 3, 4]
    assert [upto.carries for upto in found.cumulative] == pytest.approx(shares)
    assert [upto.share for upto in found.cumulative] == pytest.approx([share / 4 for share in shares])
    assert found.cumulative[-1].share == pytest.approx(1)


def test_the_number_of_runs_is_told_before_and_after(session: Session) -> None:
    asked = ExchangePieces("shortcut")
    runs = 2 + 2 * (2 * LAYERS + 1) + LAYERS + 1
    assert asked.runs(session) == runs == find(asked, session).runs
    heads = ExchangePieces("shortcut", heads_of=(3, 1))
    assert heads.runs(session) == 2 + 2 * 2 * (HEADS + 1) == find(heads, session).runs
    without = replace(session, request=replace(session.request, images=()))
    assert asked.runs(without) == runs - 3


def test_heads_of_chosen_layers_are_exchanged_one_by_one(session: Session) -> None:
    found = find(ExchangePieces("shortcut", heads_of=(3, 1, 3)), session)
    assert [(one.layer, one.head) for one in found.pieces] == [(at, head) for at in (1, 3) for head in (None, 0, 1, 2)]
    assert found.pieces[0].brings == pytest.approx(1.5)
    assert found.cumulative == ()


@pytest.mark.parametrize(("words", "label"), [("own", "other@0.5"), ("base", "base")])
def test_the_words_are_those_asked_for(session: Session, words: str, label: str) -> None:
    runs = []
    for number, run in enumerate(session.runs):
        tokens = tuple(replace(token, id=100 * number + token.position) for token in run.trace.tokens)
        runs.append(replace(run, answer=run.variant.label, trace=replace(run.trace, tokens=tokens)))
    session = replace(session, runs=tuple(runs))
    asked = ExchangePieces("other@0.5", words)  # type: ignore[arg-type]
    said = tuple(token.id for token in session.run(label).trace.tokens if token.part == "answer")
    assert {trial.said for trial in asked.probe(session).trials} == {said}
    assert find(asked, session).words == label


def test_a_change_that_is_too_small_is_not_shared_out(session: Session) -> None:
    found = find(ExchangePieces("shortcut"), session, size=0.0024)
    assert found.change == pytest.approx(0.0096)
    assert {one.brings_share for one in found.pieces} | {one.loses_share for one in found.pieces} == {None}
    assert {upto.share for upto in found.cumulative} == {None}
    assert found.sentences[-1] == "Under 0.01 nats it is too small a change to share out."
    assert find(ExchangePieces("shortcut"), session, size=-0.0026).pieces[1].brings_share is not None


def test_sentences_tell_what_carries_most_and_that_single_pieces_do_not_add_up(session: Session) -> None:
    assert find(ExchangePieces("shortcut"), session).sentences == (
        "shortcut moves the log-probability of its own answer up by 4.00 nats.",
        "By itself, attention of layer 1 brings most: 38 % of that.",
        "Without its attention of layer 0 it loses most: 56 %.",
        SINGLE,
        "Exchanged together from the first layer up, all up to layer 4 carry 100 %.",
    )


def test_of_heads_the_one_that_carries_most_is_told_and_not_its_layer(session: Session) -> None:
    asked = ExchangePieces("shortcut", heads_of=(1,))
    assert find(asked, session).sentences[1:3] == (
        "By itself, none of them brings 5 % of that.",
        "Without any one of them it loses less than 5 %.",
    )
    # The base and the adapter; the layer's attention in either, then that of head 0, 1 and 2.
    totals = [-5.0, -1.0, -2.0, -4.0, -4.5, -1.5, -4.8, -3.0, -5.0, -1.0]
    found = asked.read(session, Findings(tuple(Outcome((one,)) for one in totals), (), 1, 0.1))
    assert found.sentences[1:3] == (
        "By itself, head 0 of layer 1 brings most: 12 % of that.",
        "Without its head 1 of layer 1 it loses most: 50 %.",
    )


def test_an_adapter_on_the_output_head_is_told_apart(session: Session) -> None:
    shortcut = replace(FakeEngine().adapters()[1], modules=("lm_head", "q_proj"))
    session = replace(session, adapters=(shortcut,))
    asked = ExchangePieces("shortcut")
    trials = asked.probe(session).trials
    # A fifth of a nat comes from the head: no exchange brings it to the base or takes it from the adapter.
    totals = [total(trial) + 0.2 * (not trial.variant.is_base) for trial in trials]
    found = asked.read(session, Findings(tuple(Outcome((one,)) for one in totals), (), 1, 0.1))
    assert found.outside == "shortcut"
    assert found.cumulative[-1].share == pytest.approx(4 / 4.2)
    assert "5 % of the change is left when all pieces are exchanged, and is the head's" in found.sentences[-1]
    heads = find(replace(asked, heads_of=(1,)), session)
    assert heads.sentences[-1].endswith("no piece carries that part.")
    assert find(ExchangePieces("other@0.5"), session).outside == ""


@pytest.mark.parametrize(
    ("asked", "arrived"),
    [
        (ExchangePieces("base"), "'base'"),
        (ExchangePieces("nobody"), "'nobody'"),
        (ExchangePieces("shortcut", heads_of=(0, LAYERS)), str(LAYERS)),
        (ExchangePieces("shortcut", heads_of=(-1,)), "-1"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_session_is_refused(session: Session, asked: ExchangePieces, arrived: str) -> None:
    with pytest.raises(SettingsError) as caught:
        asked.runs(session)
    assert caught.value.arrived == arrived


def test_it_is_an_inquiry_whose_result_is_plain(session: Session) -> None:
    engine = FakeEngine()
    steps = inquire(engine, session, ExchangePieces("shortcut"))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found = end.value
            break
    assert engine.probes[0].request == session.request
    assert json.loads(json.dumps(dataclasses.asdict(found)))["runs"] == 30
