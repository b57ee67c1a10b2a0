"""Why a head moved, as it is asked and told."""

import dataclasses
import json

import pytest

from inference.errors import SettingsError
from inference.evidence.reasons import Moved, WhyMoved
from inference.evidence.trials import Findings, Reason, Shares
from inference.evidence.words import said_ids
from inference.trace.session import Session
from tests.fakes import HEADS, LAYERS, make_session


@pytest.fixture
def session() -> Session:
    return make_session()


def read(session: Session, *shares: float) -> Moved:
    return WhyMoved("shortcut", 4, 3, 2).read(session, Findings((), (Shares(*shares),), 2, 0.1))


@pytest.mark.parametrize("token", [1, 4, 5])
def test_the_row_asked_for_is_that_of_the_token(session: Session, token: int) -> None:
    run = session.run("shortcut")
    (reason,) = WhyMoved("shortcut", token, 3, 2).probe(session).reasons
    assert reason == Reason(said_ids(run), run.variant, run.trace.tokens[token].row_at, 3, 2)


def test_the_parts_are_told_in_a_sentence(session: Session) -> None:
    found = read(session, 0.71, 0.05, 0.2, 0.04, 0.31)
    assert (found.query, found.key, found.inputs, found.rest, found.moved) == (0.71, 0.05, 0.2, 0.04, 0.31)
    assert found.sentence == (
        "Head 2 of layer 3 moved 31 % of its attention: its own query 71 %, its own key 5 %, inputs changed by earlier "
        "layers 20 %, together 4 % more."
    )
    assert read(session, 0.9, 0.2, 0, -0.1, 0.5).sentence.endswith("together 10 % less.")
    assert json.loads(json.dumps(dataclasses.asdict(found)))["token"] == found.token == " cir"


def test_a_head_that_did_not_move_has_no_parts(session: Session) -> None:
    found = read(session, 0.5, 0.5, 0, 0, 0.0009)
    assert (found.query, found.key, found.inputs, found.rest) == (None, None, None, None)
    assert found.sentence == "Head 2 of layer 3 did not move: 0.09 % of its attention lies elsewhere."


@pytest.mark.parametrize(
    "asked",
    [
        WhyMoved("base", 0, 0, 0),
        WhyMoved("shortcut", 6, 0, 0),
        WhyMoved("shortcut", -1, 0, 0),
        WhyMoved("shortcut", 0, LAYERS, 0),
        WhyMoved("shortcut", 0, 0, HEADS),
    ],
    ids=str,
)
def test_what_does_not_fit_the_session_is_refused(session: Session, asked: WhyMoved) -> None:
    with pytest.raises(SettingsError):
        asked.probe(session)
