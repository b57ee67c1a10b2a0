"""Plain HTTP routes beside the page: what to show for a choice, pictures, and downloads.

The id of a session is a secret that only its visitor was told. Nothing here uses the model or Gradio; all answers are
made anew from the stored session, and a click costs one small request.
"""

import io
import json
from dataclasses import asdict

from PIL import Image
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from inference.errors import SettingsError
from inference.trace.session import Session
from viz import handlers
from viz.change import change
from viz.change_aids import Aids, check_aids
from viz.change_shown import hidden_cells
from viz.change_view import Pair
from viz.changed import changed, check_pair, how_far, moved_told
from viz.overlay import OPACITY
from viz.page.answers import answering, choice_of, download, json_answer, session_of
from viz.page.shelf import Shelf
from viz.view import Choice

MOST_RERUNS = 40
SHOWN_PX = 1600
"""Longest side of a picture on the page; maps are laid over it by shares, so its size changes nothing."""


def session_routes(shelf: Shelf) -> list[Route]:
    """The routes under /session/ID; each runs in a thread of its own."""
    answers = {
        "look": _look,
        "change": _change,
        "change.{kind}": _change_figure,
        "moved": _moved,
        "picture/{number:int}": _picture,
        "map.{kind}": _map,
        "figure.{kind}": _figure,
        "chart.{kind}": _chart,
        "session.zip": _archive,
    }
    return [Route(f"/session/{{id}}/{path}", answering(shelf, answer)) for path, answer in answers.items()]


def _look(shelf: Shelf, request: Request) -> Response:
    session_id, session = session_of(shelf, request)
    if "choice" in request.query_params:
        choice, reason = choice_of(session, request), ""
    else:
        choice, reason = handlers.first_choice(session)
    return json_answer(asdict(handlers.look(session_id, session, choice, reason)))


def _change(shelf: Shelf, request: Request) -> Response:
    session_id, session = session_of(shelf, request)
    choice = choice_of(session, request)
    pair, aids = _pair(session, choice, request), _aids(shelf, session, request)
    return json_answer(asdict(change(session_id, session, choice, pair, aids)))


def _change_figure(shelf: Shelf, request: Request) -> Response:
    _, session = session_of(shelf, request)
    choice, kind = choice_of(session, request), request.path_params["kind"]
    pair, aids = _pair(session, choice, request), _aids(shelf, session, request)
    data = handlers.change_file(session, choice, pair, aids, kind, opacity=_opacity(request), smooth=_smooth(request))
    return download(data, f"change-{pair.a}-{pair.b}.{kind}", kind)


def _moved(shelf: Shelf, request: Request) -> Response:
    """Apart from the rest of the change, since the distance of two large maps takes a second."""
    _, session = session_of(shelf, request)
    choice = choice_of(session, request)
    pair = _pair(session, choice, request)
    found = changed(session, choice, pair.a, pair.b)
    without = hidden_cells(found, choice, pair, _aids(shelf, session, request))
    moved = how_far(found, choice, without=without)
    return json_answer({"told": moved_told(moved, without_sinks=without is not None)})


def _pair(session: Session, choice: Choice, request: Request) -> Pair:
    text = request.query_params.get("pair", "{}")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError("a pair as JSON", text[:40], "choose on the page") from error
    return check_pair(session, raw, choice.image)


def _aids(shelf: Shelf, session: Session, request: Request) -> Aids:
    """The sessions that the address names as `floor`, divided by commas, and as `neutral`."""
    ids = [name for name in request.query_params.get("floor", "").split(",") if name]
    if len(ids) > MOST_RERUNS:
        raise SettingsError(f"at most {MOST_RERUNS} sessions of a noise floor", str(len(ids)), "measure it once more")
    neutral = request.query_params.get("neutral", "")
    return check_aids(session, tuple(shelf.get(name) for name in ids), shelf.get(neutral) if neutral else None)


def _picture(shelf: Shelf, request: Request) -> Response:
    _, session = session_of(shelf, request)
    number, images = request.path_params["number"], session.request.images
    if number >= len(images):
        raise SettingsError(f"a picture below {len(images)}", str(number), "choose one of the session's")
    png = images[number].png
    if max(images[number].width, images[number].height) > SHOWN_PX:
        png = _smaller(png)
    return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


def _map(shelf: Shelf, request: Request) -> Response:
    _, session = session_of(shelf, request)
    kind, variant = request.path_params["kind"], request.query_params.get("variant", "")
    data = handlers.map_file(
        session, choice_of(session, request), variant, kind, opacity=_opacity(request), smooth=_smooth(request)
    )
    return download(data, f"map-{variant}.{kind}", kind)


def _figure(shelf: Shelf, request: Request) -> Response:
    _, session = session_of(shelf, request)
    kind = request.path_params["kind"]
    data = handlers.figure_file(
        session, choice_of(session, request), kind, opacity=_opacity(request), smooth=_smooth(request)
    )
    return download(data, f"figure.{kind}", kind)


def _chart(shelf: Shelf, request: Request) -> Response:
    _, session = session_of(shelf, request)
    kind = request.path_params["kind"]
    return download(handlers.chart_file(session, choice_of(session, request), kind), f"chart.{kind}", kind)


def _archive(shelf: Shelf, request: Request) -> Response:
    session_id, _ = session_of(shelf, request)
    return FileResponse(shelf.export(session_id), filename="session.zip", headers={"Cache-Control": "no-store"})


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
