"""The listener of inquiries and the route of their results, without a browser, on a kind made for these tests."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from inference.errors import SettingsError
from inference.evidence.trials import Findings, Probe, Trial
from inference.settings import Settings
from inference.store import SessionStore
from inference.trace.session import Session
from tests.fakes import FakeEngine, make_session
from tests.viz.page.engines import SECRET
from viz.page.evidence import Kept, Kind, Results, evidence_routes, probing
from viz.page.inquirer import Inquirer
from viz.page.shelf import Shelf
from viz.page.visits import Visits


@dataclass(frozen=True)
class Words:
    """How likely some words are."""

    said: tuple[int, ...]

    def probe(self, session: Session) -> Probe:
        return Probe(session.request, (Trial(self.said),))

    def read(self, session: Session, findings: Findings) -> float:
        return findings.outcomes[0].total


def words_of(session: Session, options: Any) -> Words:
    if not isinstance(options.get("said"), int):
        raise SettingsError("a word's number", "none", "choose one")
    return Words((options["said"],) * 3)


def shown(session: Session, result: float) -> dict[str, Any]:
    return {"question": session.request.question, "nats": round(result, 3)}


KINDS = {"words": Kind(probing(words_of), shown)}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(SessionStore(tmp_path, hours=1, gigabytes=1), make_session())


@pytest.fixture
def results(shelf: Shelf) -> Results:
    return Results(shelf, KINDS)


@pytest.fixture
def http(results: Results) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=evidence_routes(results))) as client:
        yield client


def inquirer(results: Results, engine: FakeEngine | None = None) -> Inquirer:
    return Inquirer(engine or FakeEngine(), Settings(), results, Visits(results.shelf.store))


def asked(listener: Inquirer, sent: Any) -> list[tuple[Any, ...]]:
    request: Any = gr.Request(session_hash="tab")
    return list(listener.evidence(request, gr.EventData(None, sent)))


def test_progress_then_a_key_under_which_the_result_is_shown(results: Results, http: TestClient) -> None:
    session_id = results.shelf.welcome_id()
    steps = asked(inquirer(results), {"session": session_id, "kind": "words", "options": {"said": 7}})
    told = [step[0] for step in steps]
    assert [one["state"] for one in told] == ["work", "work", "work", "done"]
    assert (told[1]["done"], told[1]["total"]) == (2, 3)
    assert steps[1][1]["text"] == "Asking again under a change: run 2 of 3."
    assert len({one["turn"] for one in told}) == 4
    answer = http.get(f"/session/{session_id}/evidence/{told[-1]['key']}")
    assert answer.json() == {"question": "What is red?", "nats": -0.3}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (None, "an inquiry of words"),
        ([1, "x", {}], "an inquiry of words"),
        ({"kind": ["words"]}, "an inquiry of words"),
        ({"kind": "words", "session": 5}, "a session's id"),
        ({"kind": "words", "session": "A" * 22}, "a session that is kept"),
        ({"kind": "words", "session": "", "options": [1]}, "options as an object"),
        ({"kind": "words", "session": "", "options": {"said": "x"}}, "a word's number"),
    ],
)
def test_forged_events_get_a_sentence_and_buttons_that_work(results: Results, sent: Any, message: str) -> None:
    engine = FakeEngine()
    if isinstance(sent, dict) and sent.get("session") == "":
        sent = sent | {"session": results.shelf.welcome_id()}
    (only,) = asked(inquirer(results, engine), sent)
    assert (only[0]["state"], only[1]["kind"]) == ("wrong", "wrong")
    assert message in only[0]["text"]
    assert [button["interactive"] for button in only[2:]] == [True, False]
    assert engine.probes == []


def test_unforeseen_error_tells_nothing_of_itself(results: Results) -> None:
    sent = {"session": results.shelf.welcome_id(), "kind": "words", "options": {"said": 1}}
    (only,) = asked(inquirer(results, FakeEngine(error=RuntimeError(SECRET))), sent)
    assert only[0]["state"] == "wrong"
    assert SECRET not in json.dumps(only[:2])


def test_closing_stops_the_engine_and_keeps_nothing(results: Results) -> None:
    engine, request = FakeEngine(), gr.Request(session_hash="tab")
    sent = {"session": results.shelf.welcome_id(), "kind": "words", "options": {"said": 1}}
    steps = inquirer(results, engine).evidence(request, gr.EventData(None, sent))
    next(steps)
    steps.close()
    assert engine.closed.is_set()
    assert len(results) == 0


def test_a_result_belongs_to_its_session_and_the_oldest_goes(results: Results, http: TestClient) -> None:
    few = Results(results.shelf, KINDS, most=2)
    keys = [few.keep(Kept("one", "words", number)) for number in (1.0, 2.0, 3.0)]
    assert [few.get("one", key).result for key in keys[1:]] == [2.0, 3.0]
    for session_id, key in (("one", keys[0]), ("two", keys[1])):
        with pytest.raises(Exception, match="a result that is kept, got one that is gone"):
            few.get(session_id, key)
    assert http.get(f"/session/{results.shelf.welcome_id()}/evidence/none").status_code == 404
    assert http.get(f"/session/gone/evidence/{keys[2]}").status_code == 404
