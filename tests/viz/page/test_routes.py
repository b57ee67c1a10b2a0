"""The plain routes, without a browser: looks, pictures, downloads, and what strangers send."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from inference.store import SessionStore
from inference.trace.request import Request
from tests.fakes import make_picture, make_session
from tests.kept import keep_session
from viz.page.routes import SHOWN_PX, session_routes
from viz.page.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(SessionStore(tmp_path, hours=1, gigabytes=1), make_session())


@pytest.fixture
def http(shelf: Shelf) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=session_routes(shelf))) as client:
        yield client


def test_first_look_has_a_reason_and_a_choice_has_none(http: TestClient, shelf: Shelf) -> None:
    base = f"/session/{shelf.welcome_id()}/look"
    first = http.get(base)
    assert first.json()["reason"].startswith("Chosen first")
    assert first.headers["cache-control"] == "no-store"
    chosen = http.get(base, params={"choice": json.dumps({"token": 2, "layer": 3})}).json()
    assert chosen["reason"] == ""
    assert (chosen["choice"]["token"], chosen["choice"]["layer"], chosen["choice"]["head"]) == (2, 3, None)


@pytest.mark.parametrize("choice", ['{"token": -99999}', "[1]", "null", "{", '{"layer": true}', '{"x": 1}'])
def test_forged_choice_is_one_sentence(http: TestClient, shelf: Shelf, choice: str) -> None:
    answer = http.get(f"/session/{shelf.welcome_id()}/look", params={"choice": choice})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Expected ")


@pytest.mark.parametrize(
    "path", ["look", "picture/0", "change", "moved", "map.png?variant=base", "figure.pdf", "session.zip"]
)
@pytest.mark.parametrize("session", ["gone", "..%2F..%2Fetc", "A" * 22])
def test_unknown_session_is_not_found(http: TestClient, session: str, path: str) -> None:
    assert http.get(f"/session/{session}/{path}").status_code == 404


@pytest.mark.parametrize(
    ("path", "start"),
    [
        ("map.png?variant=shortcut", b"\x89PNG"),
        ("map.svg?variant=base&smooth=1&opacity=0.25", b"<"),
        ("figure.png", b"\x89PNG"),
        ("figure.svg", b"<"),
        ("figure.pdf", b"%PDF"),
        ("session.zip", b"PK"),
    ],
)
def test_downloads_are_files_of_their_kind(http: TestClient, shelf: Shelf, path: str, start: bytes) -> None:
    answer = http.get(f"/session/{shelf.welcome_id()}/{path}")
    assert answer.status_code == 200
    assert answer.content.startswith(start)
    assert answer.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize("query", ["variant=base&opacity=2", "variant=base&opacity=nan", "variant=none", ""])
def test_strange_downloads_are_refused(http: TestClient, shelf: Shelf, query: str) -> None:
    answer = http.get(f"/session/{shelf.welcome_id()}/map.png?{query}")
    assert (answer.status_code, "error" in answer.json()) == (400, True)


def test_downloaded_session_opens_again(http: TestClient, shelf: Shelf, tmp_path: Path) -> None:
    path = tmp_path / "kept.zip"
    path.write_bytes(http.get(f"/session/{shelf.welcome_id()}/session.zip").content)
    opened = shelf.open_file({"path": str(path)})
    assert shelf.get(opened).request.question == make_session().request.question


def test_large_picture_is_shown_smaller_and_none_beyond_the_last(http: TestClient, shelf: Shelf) -> None:
    session_id = keep_session(shelf.store, make_session(Request("What?", (make_picture(2000, 1000),))))
    shown = http.get(f"/session/{session_id}/picture/0")
    with Image.open(io.BytesIO(shown.content)) as image:
        assert image.size == (SHOWN_PX, SHOWN_PX // 2)
    assert http.get(f"/session/{session_id}/picture/1").status_code == 400


def test_unforeseen_error_tells_nothing_of_itself(
    http: TestClient, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(session_id: str) -> None:
        raise RuntimeError("/srv/secret")

    monkeypatch.setattr(shelf, "get", broken)
    answer = http.get("/session/x/look")
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_change_is_told_for_a_choice_and_a_pair(http: TestClient, shelf: Shelf) -> None:
    base = f"/session/{shelf.welcome_id()}"
    query = {
        "choice": json.dumps({"token": 2, "layer": 3, "head": 1}),
        "pair": json.dumps({"a": "shortcut", "b": "other@0.5", "measure": "shannon", "box": [10, 10, 90, 90]}),
    }
    found = http.get(f"{base}/change", params=query).json()
    assert (found["pair"]["a"], found["pair"]["b"]) == ("shortcut", "other@0.5")
    assert len(found["cell"]) == 3
    assert http.get(f"{base}/moved", params=query).json()["told"].startswith("The map moved by ")
    first = http.get(f"{base}/change").json()
    assert (first["pair"]["a"], first["box"]) == ("base", None)


@pytest.mark.parametrize("path", ["change", "moved"])
@pytest.mark.parametrize(
    "pair", ["{", "[]", '{"a": 1}', '{"box": [1, 2]}', '{"box": [900, 900, 950, 950]}', '{"c": 0}']
)
def test_forged_pair_is_one_sentence(http: TestClient, shelf: Shelf, path: str, pair: str) -> None:
    answer = http.get(f"/session/{shelf.welcome_id()}/{path}", params={"pair": pair})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Expected ")
