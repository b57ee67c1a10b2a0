"""The sessions that Compare asks for: how they are made, and the routes that read a comparison by them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from inference.errors import QuestionError, SessionError
from inference.protocol import Progress
from inference.settings import Settings
from inference.store import SessionStore
from inference.trace.session import Session
from tests.fakes import FakeEngine, make_session
from viz.page.change_runs import FLOOR, NEUTRAL, Floor, Neutral
from viz.page.evidence import Bench, Kind
from viz.page.routes import session_routes
from viz.page.shelf import Shelf

Made = Callable[..., tuple[list[Progress], Any]]


@pytest.fixture
def session() -> Session:
    asked = replace(make_session().request, words="base", question="What color is the circle?")
    return make_session(asked)


@pytest.fixture
def shelf(tmp_path: Path, session: Session) -> Shelf:
    return Shelf(SessionStore(tmp_path, hours=1, gigabytes=1), session)


@pytest.fixture
def noted() -> list[str]:
    return []


@pytest.fixture
def make(shelf: Shelf, session: Session, noted: list[str]) -> Made:
    """Runs a kind to its end: its progress and its result."""

    def run(kind: Kind, *, settings: Settings | None = None, **options: Any) -> tuple[list[Progress], Any]:
        bench = Bench(FakeEngine(), settings or Settings(), shelf, noted.append)
        steps, told = kind.ask(bench, session, options), []
        while True:
            try:
                told.append(next(steps))
            except StopIteration as end:
                return told, end.value

    return run


@pytest.fixture
def http(shelf: Shelf) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=session_routes(shelf))) as client:
        yield client


def test_a_floor_is_five_sessions_that_go_with_the_tab(make: Made, shelf: Shelf, noted: list[str]) -> None:
    told, result = make(FLOOR)
    assert isinstance(result, Floor)
    assert list(result.sessions) == noted and len(noted) == 5
    assert [shelf.get(name).request.variants[0].label for name in noted] == ["base"] * 3 + ["shortcut~1", "shortcut~2"]
    assert told[0].variant == "run 1 of 5" and told[-1].variant == "run 5 of 5, shortcut~2"
    assert result.left_out == ("Precision: nothing to measure, for the model runs in float32.",)


def test_the_rewording_is_given_or_one_of_the_miniatures_or_polite(make: Made) -> None:
    assert make(FLOOR)[1].question == "What colour is the circle?"
    assert make(FLOOR, question="Which hue?")[1].question == "Which hue?"
    assert make(FLOOR, settings=Settings(model="some/model"))[1].question == "Please say: What color is the circle?"
    with pytest.raises(QuestionError, match="a question as text"):
        make(FLOOR, question=["a"])


def test_a_neutral_question_is_one_session(make: Made, shelf: Shelf, noted: list[str]) -> None:
    _, result = make(NEUTRAL, question="What is there?")
    assert result == Neutral(noted[0], "What is there?")
    assert shelf.get(noted[0]).request.question == "What is there?"
    assert make(NEUTRAL)[1].question == "Describe the picture."


def test_a_floor_that_was_stopped_leaves_nothing(shelf: Shelf, session: Session, noted: list[str]) -> None:
    engine = FakeEngine()
    steps = FLOOR.ask(Bench(engine, Settings(), shelf, noted.append), session, {})
    while not next(steps).variant.startswith("run 2 of 5"):
        pass
    next(steps)
    steps.close()
    assert engine.closed.is_set()
    assert len(noted) == 1
    with pytest.raises(SessionError):
        shelf.get(noted[0])


def test_the_routes_read_a_comparison_by_them(http: TestClient, make: Made, shelf: Shelf) -> None:
    floor, neutral = make(FLOOR)[1], make(NEUTRAL)[1]
    place = f"/session/{shelf.welcome_id()}"
    given = {
        "choice": json.dumps({"token": 4, "layer": 3, "head": 2}),
        "pair": json.dumps({"hide": True, "unit": "floor", "noise": "shuffle"}),
        "floor": ",".join(floor.sessions),
        "neutral": neutral.session,
    }
    found = http.get(f"{place}/change", params=given).json()
    assert [row["kind"] for row in found["floor"]["rows"]] == ["alike", "shift", "jpeg", "question", "shuffle"]
    assert found["sinks"]["question"] == "Describe the picture."
    assert "times the noise floor" in found["chart_scale"]["unit"]
    assert http.get(f"{place}/moved", params=given).json()["told"].endswith("sinks left out.")
    figure = http.get(f"{place}/change.png", params=given)
    assert figure.content.startswith(b"\x89PNG")
    assert 'filename="change-base-shortcut.png"' in figure.headers["content-disposition"]


@pytest.mark.parametrize(
    ("given", "status", "told"),
    [
        ({"floor": "gone"}, 404, ""),
        ({"neutral": "gone"}, 404, ""),
        ({"floor": ",".join("abcdefghij" * 5)}, 400, "at most 40 sessions"),
    ],
)
def test_strange_ids_are_one_sentence(
    http: TestClient, shelf: Shelf, given: dict[str, str], status: int, told: str
) -> None:
    for path in ("change", "moved", "change.svg"):
        answer = http.get(f"/session/{shelf.welcome_id()}/{path}", params=given)
        assert answer.status_code == status
        assert told in answer.json()["error"]


def test_a_figure_of_another_kind_is_refused(http: TestClient, shelf: Shelf) -> None:
    answer = http.get(f"/session/{shelf.welcome_id()}/change.gif")
    assert (answer.status_code, "a file kind of png, svg, pdf" in answer.json()["error"]) == (400, True)
