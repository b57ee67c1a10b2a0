"""From what the page sends to a sweep, to parts and to pieces; what is shown of a sweep, over plain routes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from inference.errors import VisualizerError
from inference.evidence.sweep import Sweep
from inference.protocol import Progress
from inference.settings import Settings
from inference.store import SessionStore
from inference.trace.session import AdapterFacts, Session
from tests.fakes import CELL, FakeEngine, make_session
from viz.page.evidence import Bench, End, evidence_routes, with_end
from viz.page.evidence import Results as Kept
from viz.page.kinds import KINDS
from viz.page.parts import EXCHANGE, HEADS, PARTS, REASON
from viz.page.shelf import Shelf
from viz.page.strength import STRENGTH, Swept, strength_routes, sweep_in

FACTS = AdapterFacts("shortcut", "", rank=8, modules=("q_proj", "o_proj"), towers=("text",), layers=(0, 3))
BOX = [3 * CELL, 2 * CELL, 6 * CELL, 4 * CELL]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(SessionStore(tmp_path / "store", hours=1, gigabytes=1), replace(make_session(), adapters=(FACTS,)))


@pytest.fixture
def session(shelf: Shelf) -> Session:
    return shelf.get(shelf.welcome_id())


@pytest.fixture
def http(shelf: Shelf) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=[*strength_routes(shelf), *evidence_routes(Kept(shelf, KINDS))])) as client:
        yield client


def asked(shelf: Shelf, session: Session, options: Any, engine: FakeEngine | None = None) -> tuple[Swept, list[str]]:
    """Where a sweep is kept, and the sessions that the tab was told of."""
    noted: list[str] = []
    bench = Bench(engine or FakeEngine(), Settings(), shelf, noted.append)
    *steps, end = with_end(STRENGTH.ask(bench, session, options))
    assert all(isinstance(step, Progress) for step in steps)
    assert isinstance(end, End)
    return end.result, noted


def test_a_sweep_is_kept_as_a_session_that_goes_with_the_tab(shelf: Shelf, session: Session) -> None:
    engine = FakeEngine()
    swept, noted = asked(shelf, session, {"adapter": "shortcut", "scales": [0, 0.5, 1]}, engine)
    assert noted == [swept.session_id]
    assert [run.variant.label for run in shelf.get(swept.session_id).runs] == ["base", "shortcut@0.5", "shortcut"]
    assert [request.expected_answer for request in engine.requests] == [" circle"]
    shown = STRENGTH.show(session, swept)
    assert shown == {"sweep": swept.session_id, "adapter": "shortcut", "colour": 0, "note": swept.note}


def test_an_answer_that_is_not_known_is_asked_for_and_not_kept(shelf: Shelf, session: Session, tmp_path: Path) -> None:
    engine = FakeEngine()
    swept, noted = asked(shelf, session, {"adapter": "other"}, engine)
    alone, sweep = engine.requests
    assert [variant.label for variant in alone.variants] == ["other"]
    assert (sweep.expected_answer, len(sweep.variants)) == (" circle", 7)
    assert noted == [swept.session_id]
    assert [path.name for path in (tmp_path / "store").iterdir()] == [swept.session_id]


def test_a_sweep_that_fails_leaves_nothing(shelf: Shelf, session: Session, tmp_path: Path) -> None:
    with pytest.raises(VisualizerError, match="a scale between -4 and 4"):
        asked(shelf, session, {"adapter": "shortcut", "scales": [7]})
    assert list((tmp_path / "store").iterdir()) == []


def test_how_many_runs_it_takes_is_told_before(shelf: Shelf, session: Session, http: TestClient) -> None:
    for options, told in (
        ({"adapter": "shortcut"}, {"runs": 7, "problem": ""}),
        ({"adapter": "other", "scales": [1]}, {"runs": 3, "problem": ""}),
    ):
        place = f"/session/{shelf.welcome_id()}/plan/strength"
        assert http.get(place, params={"options": json.dumps(options)}).json() == told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "the name of an adapter, got None"),
        ({"adapter": ["x"]}, "the name of an adapter"),
        ({"adapter": "x", "scales": "1"}, "scales as a list of numbers"),
        ({"adapter": "x", "scales": [None]}, "scales as a list of numbers"),
        ({"adapter": "x", "scales": [True]}, "scales as a list of numbers"),
        ({"adapter": "x", "scales": [10**400]}, "scales as a list of numbers"),
        ({"adapter": "x", "scales": [1] * 101}, "scales as a list of numbers"),
    ],
)
def test_forged_sweeps_are_one_sentence(options: Any, message: str) -> None:
    with pytest.raises(VisualizerError, match=message):
        sweep_in(options)


def test_whole_numbers_are_scales_too() -> None:
    assert sweep_in({"adapter": "x", "scales": [1, 0.5]}) == Sweep("x", (1.0, 0.5))


def test_routes_show_a_sweep_and_give_it_as_files(shelf: Shelf, session: Session, http: TestClient) -> None:
    swept, _ = asked(shelf, session, {"adapter": "shortcut", "scales": [0, 1]})
    place = f"/session/{swept.session_id}/strength"
    options = {"choice": {"token": 90, "token_to": 99, "layer": 1, "hidden": ["other@0.5"]}, "box": BOX, "colour": 1}
    view = http.get(place, params={"options": json.dumps(options)}).json()
    assert (view["scales"], view["token"]) == ([0, 1], "'cle'")  # the nearest that there is
    assert len(view["maps"]) == 2
    assert [line["name"] for line in view["lines"]][1:] == ["on the picture", "in the box", "total variation to base"]
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("csv", b"adapter,scale,")):
        answer = http.get(f"{place}.{kind}", params={"options": json.dumps(options)})
        assert answer.content.startswith(start)
        assert f'filename="strength.{kind}"' in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("strength", "[", "options as JSON"),
        ("strength", "[" * 9_999, "options as JSON"),
        ("strength", "[]", "options as an object"),
        ("strength", '{"choice": 3}', "a choice as an object"),
        ("strength", '{"choice": {"layer": 77}}', "77"),
        ("strength", '{"colour": 9}', "for colour"),
        ("strength", '{"box": [1, 1, 1, 1]}', "a box with an area"),
        ("strength.gif", "{}", "a file of csv, png"),
    ],
)
def test_forged_addresses_are_one_sentence(
    shelf: Shelf, session: Session, http: TestClient, path: str, options: str, message: str
) -> None:
    swept, _ = asked(shelf, session, {"adapter": "shortcut", "scales": [1]})
    answer = http.get(f"/session/{swept.session_id}/{path}", params={"options": options})
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_another_session_is_no_sweep(shelf: Shelf, http: TestClient) -> None:
    answer = http.get(f"/session/{shelf.welcome_id()}/strength")
    assert (answer.status_code, "a sweep of one adapter" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    ("kind", "options", "runs"),
    [
        (PARTS, {}, 2 + 2 * (2 + 2)),
        (EXCHANGE, {}, 2 + 2 * 11 + 6),
        (EXCHANGE, {"words": "base", "donor": "base"}, 30),
        (HEADS, {"layer": 4}, 2 + 2 * 4),
        (REASON, {"choice": {"token": 4, "token_to": 4, "layer": 2, "head": 1}}, 2),
    ],
)
def test_parts_are_asked_in_so_many_runs_and_shown(
    shelf: Shelf, session: Session, kind: Any, options: Any, runs: int
) -> None:
    given = {"choice": {"token": 4, "token_to": 4}, "variant": "shortcut"} | options
    assert kind.plan(session, given) == {"runs": runs}
    engine = FakeEngine()
    *_, end = with_end(kind.ask(Bench(engine, Settings(), shelf, lambda _: None), session, given))
    assert isinstance(end, End)
    shown = json.loads(json.dumps(kind.show(session, end.result), allow_nan=False))
    assert shown["title"].startswith("shortcut: ")
    assert shown["slices"] if kind is REASON else len(shown["rows"]) == {10: 4, 30: 11}[runs]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (PARTS, {"variant": None}, "the label of a variant"),
        (PARTS, {"variant": "base"}, "a variant with an adapter"),
        (PARTS, {"choice": {"token": 999}}, "999"),
        (EXCHANGE, {"words": "nobody's"}, "words as one of own, base"),
        (EXCHANGE, {"donor": 1}, "donor as one of adapter, base"),
        (HEADS, {"layer": 5}, "from 0 to 4 for layer"),
        (REASON, {}, "one layer and one head, got a mean"),
    ],
)
def test_forged_parts_are_one_sentence(session: Session, kind: Any, options: Any, message: str) -> None:
    with pytest.raises(VisualizerError, match=message):
        kind.plan(session, {"choice": {}, "variant": "shortcut"} | options)
