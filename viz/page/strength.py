"""The part Strength of the room Evidence: sweeping one adapter's scale, and moving through what the sweep kept.

The sweep is an ordinary question to the model, kept as a session of its own; what is shown of it is read from there,
over plain routes, with no model. Knows no Gradio.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inference.errors import SettingsError
from inference.evidence.inquiry import check_running
from inference.evidence.sweep import (
    SCALES,
    Strength,
    Sweep,
    by_scale,
    own_answer,
    own_logprob,
    own_request,
    read_sweep,
    reread_note,
)
from inference.protocol import Engine, Progress
from inference.trace.metrics import Box
from inference.trace.session import Session
from viz import overlay, words
from viz.choices import check_choice, is_number
from viz.drawing import FileKind, saved
from viz.page.answers import answering, download, json_answer, session_of
from viz.page.evidence import Bench, Kind, Options, Steps
from viz.page.options import box_in, whole_in
from viz.page.shelf import Shelf
from viz.slots import slot_count
from viz.strength_figure import strength_figure
from viz.strength_view import place_of, sentences, strength_csv, strength_view
from viz.view import Choice

MOST_SCALES = 100
"""More than any sweep may have: what is beyond the limit of a question is told by the engine's own check."""


@dataclass(frozen=True)
class Swept:
    """The session that a sweep was kept as; `note`: what is to be known of it, if anything."""

    session_id: str
    adapter: str
    note: str = ""


def sweep_in(options: Options) -> Sweep:
    """`adapter`: a name; `scales`: a list of numbers, left out for the usual ones.

    Raises:
        SettingsError: something else.
    """
    adapter, scales = options.get("adapter"), options.get("scales")
    if not isinstance(adapter, str) or not adapter:
        raise SettingsError("the name of an adapter", repr(adapter)[:40], "choose one")
    if scales is None:
        return Sweep(adapter, SCALES)
    numbers = scales if isinstance(scales, list | tuple) and len(scales) <= MOST_SCALES else (None,)
    if not all(map(is_number, numbers)):
        raise SettingsError("scales as a list of numbers", repr(scales)[:60], "write for instance 0, 0.5, 1")
    return Sweep(adapter, tuple(float(one) for one in numbers))


def ask_sweep(shelf: Shelf, engine: Engine, session: Session, sweep: Sweep) -> Generator[Progress, None, Swept]:
    """The progress of a sweep, and where it is kept; the adapter's own answer is asked for first if it is not known."""
    check_running(session, engine)
    own = own_answer(session, sweep.adapter)
    said = own_logprob(session, sweep.adapter)
    if own is None:
        own, said = yield from _asked_alone(shelf, engine, session, sweep)
    session_id = ""
    with closing(shelf.ask(engine, sweep.request(session.request, own))) as steps:
        for step in steps:
            if isinstance(step, str):
                session_id = step
            else:
                yield step
    return Swept(session_id, sweep.adapter, reread_note(shelf.get(session_id), sweep.adapter, said))


def _asked_alone(
    shelf: Shelf, engine: Engine, session: Session, sweep: Sweep
) -> Generator[Progress, None, tuple[str | None, float | None]]:
    """The adapter's own answer and its log-probability; its session is not kept."""
    request = own_request(session.request, sweep.adapter)
    with shelf.store.writing() as writing, closing(engine.run(request, writing.folder)) as steps:
        for step in steps:
            if isinstance(step, Session):
                return own_answer(step, sweep.adapter), own_logprob(step, sweep.adapter)
            yield step
    raise RuntimeError("the engine ended without a session")


def strength_of(session: Session, options: Options) -> tuple[Choice, Box | None, int]:
    """The choice, the box and the number of the adapter's colour that an address holds.

    What was chosen in another session of the question is taken as near as this one has it.
    """
    raw = options.get("choice", {})
    if not isinstance(raw, Mapping):
        raise SettingsError("a choice as an object", repr(raw)[:40], "choose on the page")
    taken = {name: raw[name] for name in _TAKEN if name in raw}
    last = slot_count(session) - 1
    for name in ("token", "token_to"):
        if isinstance(taken.get(name), int):
            taken[name] = min(taken[name], last)
    choice = check_choice(session, taken)
    colour = whole_in(options, "colour", 0, least=0, most=len(overlay.ADAPTER_COLOURS) - 1)
    return choice, box_in(options, session, choice.image), colour


def sweep_numbers(shelf: Shelf, swept: Swept, options: Options) -> dict[str, Any]:
    """A sweep in numbers for a program, at the choice and box of the options.

    `variants`: its labels by scale; `token`: the tokens that it was read at, since the nearest are taken; `note`: what
    is to be known of it.
    """
    session = shelf.get(swept.session_id)
    choice, box, _ = strength_of(session, options)
    place = place_of(session, choice, box)
    strength = read_sweep(session, place)
    told: dict[str, Any] = {"session": swept.session_id, "note": swept.note}
    told["variants"] = [run.variant.label for _, run in by_scale(session)]
    told["token"] = words.named(session.runs[0].trace.tokens[place.tokens])
    return told | asdict(strength) | {"sentences": sentences(strength)}


_TAKEN = ("token", "token_to", "layer", "head", "image", "within", "colormap")


def strength_routes(shelf: Shelf) -> list[Route]:
    """The routes under /session/ID, of a session that is a sweep: what the page shows of it, and downloads."""
    answers = {"strength": _view, "strength.csv": _table, "strength.{kind}": _figure}
    return [Route(f"/session/{{id}}/{path}", answering(shelf, answer)) for path, answer in answers.items()]


def _view(shelf: Shelf, request: Request) -> Response:
    session_id, session = session_of(shelf, request)
    choice, box, colour = strength_of(session, _options(request))
    return json_answer(asdict(strength_view(session_id, session, choice, box, colour)))


def _table(shelf: Shelf, request: Request) -> Response:
    strength, _, _ = _read(shelf, request)
    return download(strength_csv(strength).encode(), "strength.csv", "csv")


def _figure(shelf: Shelf, request: Request) -> Response:
    strength, where, colour = _read(shelf, request)
    named = request.path_params["kind"]
    kinds: tuple[FileKind, ...] = get_args(FileKind)
    for kind in kinds:
        if kind == named:
            return download(saved(strength_figure(strength, where, colour), kind), f"strength.{kind}", kind)
    raise SettingsError(f"a file of {', '.join(('csv', *kinds))}", repr(named)[:20], "choose one of them")


def _read(shelf: Shelf, request: Request) -> tuple[Strength, str, int]:
    """The sweep at the choice, the names of token, layer and head, and the adapter's colour."""
    _, session = session_of(shelf, request)
    choice, box, colour = strength_of(session, _options(request))
    place = place_of(session, choice, box)
    token = words.named(session.runs[0].trace.tokens[place.tokens])
    return read_sweep(session, place), f"{token}, {words.where(choice)}", colour


def _options(request: Request) -> dict[str, Any]:
    text = request.query_params.get("options", "{}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError("options as JSON", text[:40], "choose on the page") from error
    if not isinstance(found, dict):
        raise SettingsError("options as an object", text[:40], "choose on the page")
    return found


def _ask(bench: Bench, session: Session, options: Options) -> Steps:
    swept = yield from ask_sweep(bench.shelf, bench.engine, session, sweep_in(options))
    bench.note(swept.session_id)
    return swept


def _show(session: Session, swept: Swept) -> dict[str, Any]:
    """Where it is kept, and which of the adapters' colours it has in the session that it was made from."""
    others = [run.variant.label for run in session.runs if not run.variant.is_base]
    colour = others.index(swept.adapter) % len(overlay.ADAPTER_COLOURS) if swept.adapter in others else 0
    return {"sweep": swept.session_id, "adapter": swept.adapter, "colour": colour, "note": swept.note}


def _plan(session: Session, options: Options) -> dict[str, Any]:
    """How many runs it takes, the one for the adapter's own answer included."""
    sweep = sweep_in(options)
    return {"runs": len(sweep.variants) + (own_answer(session, sweep.adapter) is None)}


STRENGTH = Kind(_ask, _show, _plan)
