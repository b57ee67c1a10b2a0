"""The page, its plain routes, limits and headers as one ASGI app. Knows no engine: it is given one."""

import socket
import sys
from pathlib import Path
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference.errors import SettingsError
from inference.protocol import Engine
from inference.settings import Settings
from inference.store import SessionStore
from inference.trace.files import load_session
from inference.trace.session import Session
from viz.page.blocks import build_page
from viz.page.dataset import dataset_routes
from viz.page.evidence import Results, evidence_routes
from viz.page.examples import read_examples
from viz.page.kinds import KINDS
from viz.page.routes import session_routes
from viz.page.shelf import Shelf
from viz.page.skin import look_and_feel
from viz.page.strength import strength_routes
from viz.page.weights import WeightDesk, weight_routes

EXAMPLES = Path(__file__).parents[1] / "examples"

HEADERS = {
    # Gradio evaluates its templates and starts from inline scripts; all else comes from this server alone.
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' blob:; "
    "worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def build_asgi(
    engine: Engine, settings: Settings, *, examples: Path = EXAMPLES, store: SessionStore | None = None
) -> ASGIApp:
    """One app: the page at /, sessions under /session, and /api/health.

    `examples` may hold `examples.json` with pictures, and a saved session in `finished`; both may be missing.
    """
    shelf = Shelf(store or SessionStore.for_settings(settings), _finished(examples))
    desk, results = WeightDesk.of(shelf, engine), Results(shelf, KINDS)
    page = build_page(engine, settings, shelf, desk, results, examples=read_examples(examples))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    plain = [*session_routes(shelf), *weight_routes(desk), *strength_routes(shelf), *evidence_routes(results)]
    plain += dataset_routes()
    app.router.routes.extend([Route("/api/health", _health(engine)), *plain])
    limit = int(settings.upload_mb * 1e6)
    gr.mount_gradio_app(app, page, path="/", max_file_size=limit, **look_and_feel())
    return Headers(BodyLimit(app, limit + 1_000_000))


def serve(engine: Engine, settings: Settings, *, host: str = "127.0.0.1", port: int = 7860) -> None:
    """Serves until it is interrupted; prints its address once it really listens. Port 0 takes a free one.

    Raises:
        SettingsError: the address is taken, or not this machine's.
    """
    with _bound(host, port) as listening:
        config = uvicorn.Config(build_asgi(engine, settings), log_level="warning", timeout_graceful_shutdown=2)
        TellingServer(config).run(sockets=[listening])


def _bound(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        arrived = f"{host} port {port} ({(error.strerror or str(error)).lower()})"
        raise SettingsError("a free address of this machine", arrived, "choose another port or host") from error
    return bound


class TellingServer(uvicorn.Server):
    """Prints the page's address when the socket is open, so that who waits for the line can open it at once."""

    address = ""

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            self.address = f"http://{shown}:{port}"
            print(f"LoRA Attention Visualizer: {self.address}", file=sys.stdout, flush=True)


class Headers:
    """Adds `HEADERS` to every answer that does not bring its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                added = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in added if pair[0] not in there)]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class BodyLimit:
    """Answers 413 to a request whose body is longer than `limit` bytes, told or not."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if not told.isdigit() or int(told) > self.limit:
            return await self._refusal()(scope, receive, send)
        received, answered = 0, False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                raise _TooLongError
            return message

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except _TooLongError:
            if not answered:
                await self._refusal()(scope, receive, send)

    def _refusal(self) -> Response:
        return JSONResponse(
            {"error": f"Expected at most {self.limit / 1e6:.0f} MB, got more: choose a smaller file."}, 413
        )


class _TooLongError(Exception):
    """More came than a request may hold; never leaves this module."""


def _health(engine: Engine) -> Any:
    def health(request: Request) -> Response:
        return JSONResponse({"ok": True, "model": engine.model_name, "loaded": engine.facts() is not None})

    return health


def _finished(examples: Path) -> Session | None:
    folder = examples / "finished"
    return load_session(folder) if (folder / "session.json").is_file() else None
