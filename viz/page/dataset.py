"""The Data set room's routes: a report that a visitor sends comes back as what the room shows, or as an HTML file.

Nothing of it is kept here: the browser holds what came back, so there is nothing to sweep and nothing to guess. Knows
no session and no engine.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from inference.errors import SettingsError, VisualizerError
from inference.study.report import Report
from inference.study.stored import parse_report
from viz.page.answers import UNFORESEEN, download, json_answer
from viz.report.content import report_view
from viz.report.html import report_html

AT_ONCE = 2
"""Reports being read at one time; a large one takes a second and many times its size in memory."""

log = logging.getLogger(__name__)


def dataset_routes() -> list[Route]:
    """POST /dataset answers with what the room shows, POST /dataset/report.html with a page of its own."""
    places = asyncio.Semaphore(AT_ONCE)
    answers = {"/dataset": _shown, "/dataset/report.html": _page}
    return [Route(path, _reading(places, answer), methods=["POST"]) for path, answer in answers.items()]


def _shown(report: Report) -> Response:
    return json_answer(asdict(report_view(report)))


def _page(report: Report) -> Response:
    return download(report_html(report).encode("utf-8"), "report.html", "html")


def _reading(places: asyncio.Semaphore, answer: Callable[[Report], Response]) -> Callable[[Request], object]:
    """An endpoint that takes a report as its body; how large that may be, `viz.serve` sees to."""

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        async with places:
            return await run_in_threadpool(_answered, answer, request.headers.get("content-type", ""), body)

    return endpoint


def _answered(answer: Callable[[Report], Response], kind: str, body: bytes) -> Response:
    try:
        # A form of another site can send no JSON, so only our own page gets to the reading.
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise SettingsError("a report sent as application/json", repr(kind)[:40], "choose the file on the page")
        return answer(parse_report(body))
    except VisualizerError as error:
        return JSONResponse({"error": str(error)}, 400)
    except Exception:
        log.exception("unforeseen error in reading a report")
        return JSONResponse({"error": UNFORESEEN}, 500)
