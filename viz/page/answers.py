"""How the plain routes answer: one sentence for what went wrong, JSON, downloads, and the choice that an address holds.

Knows no page; what is asked of it comes from strangers and is checked here.
"""

import json
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from inference.errors import SessionError, SettingsError, VisualizerError
from inference.trace.session import Session
from viz import handlers
from viz.page.shelf import Shelf
from viz.view import Choice

log = logging.getLogger(__name__)

TYPES = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf", "csv": "text/csv; charset=utf-8"}
UNFORESEEN = "Something went wrong on the server and was logged there: try again, and tell its owner if it stays."
Endpoint = Callable[[Request], Response]
Held = TypeVar("Held")


def answering(held: Held, answer: Callable[[Held, Request], Response]) -> Endpoint:
    """An endpoint that answers from what it holds, a shelf for instance, and turns errors into one sentence."""

    @wraps(answer)
    def endpoint(request: Request) -> Response:
        try:
            return answer(held, request)
        except VisualizerError as error:
            return JSONResponse({"error": str(error)}, 404 if isinstance(error, SessionError) else 400)
        except Exception:
            log.exception("unforeseen error in %s", request.url.path)
            return JSONResponse({"error": UNFORESEEN}, 500)

    return endpoint


def session_of(shelf: Shelf, request: Request) -> tuple[str, Session]:
    """The id in the address, and its session.

    Raises:
        SessionError: it was dropped, or never was.
    """
    session_id = request.path_params["id"]
    return session_id, shelf.get(session_id)


def choice_of(session: Session, request: Request) -> Choice:
    """What the address says is chosen; without it the first of everything.

    Raises:
        SettingsError: it is none that the session has.
    """
    text = request.query_params.get("choice", "{}")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError("a choice as JSON", text[:40], "choose on the page") from error
    return handlers.check_choice(session, raw)


def json_answer(content: Any) -> Response:
    """The content as JSON that nobody keeps."""
    return JSONResponse(content, headers={"Cache-Control": "no-store"})


def download(data: bytes, name: str, kind: str) -> Response:
    """The data as a file to save, under a name of plain letters."""
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "-_.@+") else "_" for char in name)
    headers = {"Content-Disposition": f'attachment; filename="{safe}"', "Cache-Control": "no-store"}
    return Response(data, media_type=TYPES.get(kind, "application/octet-stream"), headers=headers)
