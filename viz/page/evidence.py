"""Inquiries into a stored session that take the model once more: what each kind needs, and where its results are kept.

A kind is listed in `viz.page.kinds`. Results are kept for a while, each under a key that its visitor alone was told,
since the finished example is everybody's. Knows no Gradio.
"""

import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inference.errors import SessionError, SettingsError, VisualizerError
from inference.evidence.inquiry import Inquiry, inquire
from inference.protocol import Engine, Progress
from inference.settings import Settings
from inference.trace.session import Session
from viz.page.answers import answering, json_answer, session_of
from viz.page.shelf import Shelf

MOST_RESULTS = 300
"""Many more than are looked at within an hour; one takes some kilobytes."""

Options = Mapping[str, Any]
Steps = Generator[Progress, None, Any]


@dataclass(frozen=True)
class Bench:
    """What an inquiry may use. `note`: is told the id of every session made on the way, which goes with the tab."""

    engine: Engine
    settings: Settings
    shelf: Shelf
    note: Callable[[str], None]


@dataclass(frozen=True)
class Kind:
    """One kind of inquiry.

    ask: the progress, and at last a frozen plain result; its options come from strangers and are checked there. `show`:
    what the browser is sent of a result, ready for JSON. `plan`: what to tell before it is asked, `runs` above
    all, how many these options take; None where nothing is.
    """

    ask: Callable[[Bench, Session, Options], Steps]
    show: Callable[[Session, Any], dict[str, Any]]
    plan: Callable[[Session, Options], dict[str, Any]] | None = None


@dataclass(frozen=True)
class End:
    """What comes after the last step."""

    result: Any


def with_end(steps: Steps) -> Generator[Progress | End, None, None]:
    """The steps, and what they returned as the last one."""
    yield End((yield from steps))


def probing(make: Callable[[Session, Options], Inquiry[Any]]) -> Callable[[Bench, Session, Options], Steps]:
    """How a kind asks that is one `Inquiry`, made from unchecked options."""

    def ask(bench: Bench, session: Session, options: Options) -> Steps:
        return inquire(bench.engine, session, make(session, options))

    return ask


@dataclass(frozen=True)
class Kept:
    """A result, of which session and of which kind it is."""

    session_id: str
    kind: str
    result: Any


class Results:
    """The results kept last, by keys that nobody guesses; safe to use from several threads."""

    def __init__(self, shelf: Shelf, kinds: Mapping[str, Kind], most: int = MOST_RESULTS) -> None:
        self.shelf = shelf
        self.kinds = kinds
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def kind(self, name: object) -> Kind:
        """The kind of that name, whatever a stranger sent as one.

        Raises:
            SettingsError: there is none.
        """
        found = self.kinds.get(name) if isinstance(name, str) else None
        if found is None:
            known = ", ".join(self.kinds)
            raise SettingsError(f"an inquiry of {known}", repr(name)[:40], "use the buttons on the page")
        return found

    def keep(self, kept: Kept) -> str:
        """The key under which it is kept from now on; the oldest go."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._kept[key] = kept
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return key

    def get(self, session_id: str, key: str) -> Kept:
        """The result of that session under that key.

        Raises:
            SessionError: it went, or never was.
        """
        with self._lock:
            kept = self._kept.get(key)
        if kept is None or kept.session_id != session_id:
            raise SessionError("a result that is kept", "one that is gone", "ask for it again")
        return kept


def check_options(sent: Any) -> Options:
    """The options, each still unchecked.

    Raises:
        SettingsError: something else was sent.
    """
    if not isinstance(sent, dict):
        raise SettingsError("options as an object", repr(sent)[:40], "use the buttons on the page")
    return sent


def evidence_routes(results: Results) -> list[Route]:
    """The routes under /session/ID that show a result, and tell what one would take."""
    answers = {"evidence/{key}": _shown, "plan/{kind}": _planned}
    return [Route(f"/session/{{id}}/{path}", answering(results, answer)) for path, answer in answers.items()]


def _shown(results: Results, request: Request) -> Response:
    session_id, session = session_of(results.shelf, request)
    kept = results.get(session_id, request.path_params["key"])
    return json_answer(results.kind(kept.kind).show(session, kept.result))


def _planned(results: Results, request: Request) -> Response:
    _, session = session_of(results.shelf, request)
    kind = results.kind(request.path_params["kind"])
    try:
        options = json.loads(request.query_params.get("options", "{}"))
    except (ValueError, RecursionError) as error:
        raise SettingsError("options as JSON", "something else", "use the buttons on the page") from error
    try:
        plan = kind.plan(session, check_options(options)) if kind.plan else {}
    except VisualizerError as error:  # no fault: a person who has not drawn a box yet is told to
        return json_answer({"problem": str(error)})
    return json_answer({"problem": ""} | plan)
