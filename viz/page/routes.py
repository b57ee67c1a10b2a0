"""Plain HTTP routes beside the page: what to show for a choice, pictures, and downloads.

The id of a session is a secret that only its visitor was told. Nothing here uses the model or Gradio; all answers are
made anew from the stored session, and a click costs one small request.
"""

import io
import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import Any

from PIL import Image
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from inference.errors import SessionError, SettingsError, VisualizerError
from inference.trace.session import Session
from viz import handlers
from viz.overlay import OPACITY
from viz.page.shelf import Shelf
from viz.view import Choice

log = logging.getLogger(__name__)

SHOWN_PX = 1600
"""Longest side of a picture on the page; maps are laid over it by shares, so its size changes nothing."""

TYPES = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
UNFORESEEN = "Something went wrong on the server and was logged there: try again, and tell its owner if it stays."
Endpoint = Callable[[Request], Response]


def session_routes(shelf: Shelf) -> list[Route]:
    """The routes under /session/ID; each runs in a thread of its own."""
    answers = {
        "look": _look,
        "picture/{number:int}": _picture,
        "map.{kind}": _map,
        "figure.{kind}": _figure,
        "chart.{kind}": _chart,
        "session.zip": _archive,
    }
    return [Route(f"/session/{{id}}/{path}", _answering(shelf, answer)) for path, answer in answers.items()]


def _answering(shelf: Shelf, answer: Callable[[Shelf, Request], Response]) -> Endpoint:
    """An endpoint that turns errors into one sentence, and lets no stranger's page keep or read the answer."""

    @wraps(answer)
    def endpoint(request: Request) -> Response:
        try:
            return answer(shelf, request)
        except VisualizerError as error:
            return JSONResponse({"error": str(error)}, 404 if isinstance(error, SessionError) else 400)
        except Exception:
            log.exception("unforeseen error in %s", request.url.path)
            return JSONResponse({"error": UNFORESEEN}, 500)

    return endpoint


def _look(shelf: Shelf, request: Request) -> Response:
    session_id, session = _session(shelf, request)
    if "choice" in request.query_params:
        choice, reason = _choice(session, request), ""
    else:
        choice, reason = handlers.first_choice(session)
    return _json(asdict(handlers.look(session_id, session, choice, reason)))


def _picture(shelf: Shelf, request: Request) -> Response:
    _, session = _session(shelf, request)
    number, images = request.path_params["number"], session.request.images
    if number >= len(images):
        raise SettingsError(f"a picture below {len(images)}", str(number), "choose one of the session's")
    png = images[number].png
    if max(images[number].width, images[number].height) > SHOWN_PX:
        png = _smaller(png)
    return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


def _map(shelf: Shelf, request: Request) -> Response:
    _, session = _session(shelf, request)
    kind, variant = request.path_params["kind"], request.query_params.get("variant", "")
    data = handlers.map_file(
        session, _choice(session, request), variant, kind, opacity=_opacity(request), smooth=_smooth(request)
    )
    return _download(data, f"map-{variant}.{kind}", kind)


def _figure(shelf: Shelf, request: Request) -> Response:
    _, session = _session(shelf, request)
    kind = request.path_params["kind"]
    data = handlers.figure_file(
        session, _choice(session, request), kind, opacity=_opacity(request), smooth=_smooth(request)
    )
    return _download(data, f"figure.{kind}", kind)


def _chart(shelf: Shelf, request: Request) -> Response:
    _, session = _session(shelf, request)
    kind = request.path_params["kind"]
    return _download(handlers.chart_file(session, _choice(session, request), kind), f"chart.{kind}", kind)


def _archive(shelf: Shelf, request: Request) -> Response:
    session_id, _ = _session(shelf, request)
    return FileResponse(shelf.export(session_id), filename="session.zip", headers={"Cache-Control": "no-store"})


def _session(shelf: Shelf, request: Request) -> tuple[str, Session]:
    session_id = request.path_params["id"]
    return session_id, shelf.get(session_id)


def _choice(session: Session, request: Request) -> Choice:
    text = request.query_params.get("choice", "{}")
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise SettingsError("a choice as JSON", text[:40], "choose on the page") from error
    return handlers.check_choice(session, raw)


def _opacity(request: Request) -> float:
    text = request.query_params.get("opacity", str(OPACITY))
    try:
        opacity = float(text)
    except ValueError:
        opacity = -1
    if not 0 <= opacity <= 1:
        raise SettingsError("an opacity from 0 to 1", text[:40], "move the slider on the page")
    return opacity


def _smooth(request: Request) -> bool:
    return request.query_params.get("smooth") == "1"


def _smaller(png: bytes) -> bytes:
    with Image.open(io.BytesIO(png)) as image:
        image.thumbnail((SHOWN_PX, SHOWN_PX))
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _json(content: Any) -> Response:
    return JSONResponse(content, headers={"Cache-Control": "no-store"})


def _download(data: bytes, name: str, kind: str) -> Response:
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "-_.@+") else "_" for char in name)
    headers = {"Content-Disposition": f'attachment; filename="{safe}"', "Cache-Control": "no-store"}
    return Response(data, media_type=TYPES.get(kind, "application/octet-stream"), headers=headers)
