"""The one ASGI app: headers, limits, health, the address told, and the same look whichever way it is served."""

import asyncio
import inspect
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from starlette.testclient import TestClient

from inference.errors import SettingsError
from inference.settings import Settings
from inference.store import SessionStore
from tests.fakes import FakeEngine
from tests.viz.page.conftest import in_loop
from viz.page.skin import look_and_feel
from viz.serve import HEADERS, BodyLimit, build_asgi, serve

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    store = SessionStore(tmp_path_factory.mktemp("store"), hours=1, gigabytes=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        app = in_loop(
            lambda: build_asgi(FakeEngine(), Settings(upload_mb=1), examples=no_examples(tmp_path_factory), store=store)
        )
    with TestClient(app) as client:
        yield client


def no_examples(factory: pytest.TempPathFactory) -> Path:
    """A folder without any example."""
    return factory.mktemp("empty")


def test_health_tells_whether_the_model_is_there(http: TestClient) -> None:
    assert http.get("/api/health").json() == {"ok": True, "model": "fake model", "loaded": True}


def test_every_answer_has_the_headers(http: TestClient) -> None:
    for path in ("/", "/config", "/api/health", "/session/gone/look", "/nothing"):
        answer = http.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_upload_over_the_limit_gets_413(http: TestClient) -> None:
    for megabytes, status in ((0.5, 200), (1.5, 413), (3, 413)):
        answer = http.post("/gradio_api/upload", files={"files": ("x.png", b"x" * int(megabytes * 1e6))})
        assert answer.status_code == status


def test_files_of_the_server_are_not_served(http: TestClient) -> None:
    for path in ("/etc/hostname", str(ROOT / "pyproject.toml")):
        assert http.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_look_and_feel_suits_both_ways_of_serving() -> None:
    keys = set(look_and_feel())
    for way in (gr.Blocks.launch, gr.mount_gradio_app):
        assert keys <= set(inspect.signature(way).parameters)
    assert look_and_feel()["run_history"] is False
    assert look_and_feel()["show_error"] is False


def test_page_asks_no_other_host_for_anything(http: TestClient) -> None:
    config = http.get("/config").json()
    assert config["analytics_enabled"] is False
    assert all("://" not in str(sheet) for sheet in config["stylesheets"])


@pytest.mark.parametrize("length", [b"-1", b"1e9", b"99999999999"])
def test_strange_lengths_are_refused(length: bytes) -> None:
    assert status_of([(b"content-length", length)], reads=False) == 413


def test_body_of_untold_length_is_cut_off_at_the_limit() -> None:
    assert status_of([], reads=True) == 413


def status_of(headers: list[tuple[bytes, bytes]], *, reads: bool) -> int:
    """What a limit of 1,000 bytes answers to a body without an end, before an app that reads all of it, or none."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert reads, "never reached"
        while True:
            await receive()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b" " * 300, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(BodyLimit(app, 1000)({"type": "http", "headers": headers}, receive, send))
    return int(sent[0]["status"])


def test_address_is_printed_when_it_listens(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, '.');"
        "from inference.settings import Settings; from tests.fakes import FakeEngine; from viz.serve import serve;"
        "serve(FakeEngine(), Settings(), port=0)"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout
        line = running.stdout.readline()
        running.terminate()
    assert line.startswith("LoRA Attention Visualizer: http://127.0.0.1:")
    assert not line.rstrip().endswith(":0")


def test_a_port_that_is_taken_is_told_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            SettingsError, match=rf"got 127.0.0.1 port {port} \(address already in use\): choose another"
        ):
            serve(FakeEngine(), Settings(), port=port)
