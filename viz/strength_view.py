"""A sweep of strength for the page: curves over the scale on one axis from 0 to 1, and the map at every scale.

What `inference.evidence.sweep` read becomes plain data and small pictures here. Knows no Gradio and runs no model.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from matplotlib.colors import Normalize

from inference.evidence.sweep import Place, Point, Strength, by_scale, place_maps, read_sweep
from inference.trace.metrics import Box
from inference.trace.session import Session
from viz import overlay, words
from viz.seen import kept_heads, span_of
from viz.slots import slots_of, tokens_at
from viz.view import Choice, Scale

LEAST_CHANCE = 0.01
"""Of an answer that is less likely than this at every scale, the curve is drawn against its own highest point."""


@dataclass(frozen=True)
class Line:
    """One curve: a value from 0 to 1 at every scale, or None; `told` says it in words. `dash`: as SVG has it."""

    name: str
    meaning: str
    colour: str
    dash: str
    values: list[float | None]
    told: list[str]


@dataclass(frozen=True)
class StrengthView:
    """All that the page shows of a sweep at one choice; pictures are data addresses with one pixel a cell."""

    session: str
    adapter: str
    token: str
    where: str
    sentences: list[str]
    scales: list[float]
    labels: list[str]
    """Of the variants, scale by scale."""
    lines: list[Line]
    rows: int
    cols: int
    maps: list[str]
    """Scale by scale; empty with `missing` saying why."""
    differences: list[str]
    """What each map has more than the base's."""
    missing: str
    map_scale: Scale
    difference_scale: Scale
    inset: list[float]
    """The box in fractions of the picture; empty without one."""


def strength_view(
    session_id: str, session: Session, choice: Choice, box: Box | None = None, colour: int = 0
) -> StrengthView:
    """What is shown of a sweep at a checked choice; `colour`: which of the adapters' colours is this one's."""
    place = place_of(session, choice, box)
    strength = read_sweep(session, place)
    runs = [run for _, run in by_scale(session)]
    grids = place_maps(runs, place)
    shown, missing = np.zeros((0, 0, 0), np.float32), ""
    if grids is None:
        missing = _missing(session, choice)
    else:
        shown = _within(grids) if choice.within else grids
    zero = next(number for number, run in enumerate(runs) if run.variant.is_base)
    differences = shown - shown[zero] if len(shown) else shown
    scales = overlay.colour_scale(list(shown)), overlay.difference_scale(list(differences))
    span = span_of(session, choice)
    width, height = span.original_wh if span else (1, 1)
    return StrengthView(
        session=session_id,
        adapter=strength.adapter,
        token=words.named(runs[0].trace.tokens[place.tokens]),
        where=words.where(choice),
        sentences=sentences(strength),
        scales=[point.scale for point in strength.points],
        labels=[run.variant.label for run in runs],
        lines=lines(strength, colour),
        rows=span.rows if span else 0,
        cols=span.cols if span else 0,
        maps=[overlay.data_address(overlay.map_png(grid, scales[0], choice.colormap)) for grid in shown],
        differences=[overlay.data_address(overlay.difference_png(grid, scales[1])) for grid in differences],
        missing=missing,
        map_scale=_percents(scales[0], words.unit(choice), choice.colormap),
        difference_scale=_percents(scales[1], "points, against the base", overlay.DIVERGING),
        inset=[box[0] / width, box[1] / height, box[2] / width, box[3] / height] if box else [],
    )


def place_of(session: Session, choice: Choice, box: Box | None) -> Place:
    """Where a sweep is read at a choice; all of its runs have the same tokens."""
    tokens = tokens_at(slots_of(session, session.runs[0].trace), choice.token, choice.token_to)
    return Place(tokens, choice.layer, choice.head, choice.image, box)


def lines(strength: Strength, colour: int = 0) -> list[Line]:
    """The curves that have any value: both answers, shares on the picture and in the box, total variation."""
    points, colours = strength.points, overlay.ADAPTER_COLOURS
    own, *free = colours[colour:] + colours[:colour]
    base_name = f"base's answer {words.quoted(strength.base_answer)}"
    made = [_chance(base_name, [point.base_logprob for point in points], overlay.BASE_COLOUR)]
    if strength.own_answer is not None and not strength.alike:
        name = f"{strength.adapter}'s answer {words.quoted(strength.own_answer)}"
        made.append(_chance(name, [point.own_logprob for point in points], own))
    made += [
        _share("on the picture", "share of all the token's attention", [point.on_picture for point in points], free[0]),
        _share("in the box", "share of all the token's attention", [point.in_box for point in points], free[1]),
        _variation([point.variation for point in points], free[2]),
    ]
    return [line for line in made if any(value is not None for value in line.values)]


def sentences(strength: Strength) -> list[str]:
    """What the two answers do along the scale."""
    base = words.quoted(strength.base_answer)
    if strength.own_answer is None or all(point.own_logprob is None for point in strength.points):
        return [f"The answer that {strength.adapter} gives by itself is not known here: one curve, of {base}."]
    if strength.alike:
        return [f"The base and {strength.adapter} both answer {base}: one curve stands for both."]
    own = f"{words.quoted(strength.own_answer)}, which {strength.adapter} answers,"
    order = [(point.scale, _leads(point)) for point in strength.points if point.scale >= 0]
    turns = ((one, other) for (one, led), (other, leads) in pairwise(order) if leads and not led)
    if turn := next(turns, None):
        return [f"Between scale {turn[0]:g} and {turn[1]:g} {own} overtakes the base's {base}."]
    if all(leads for _, leads in order):
        return [f"{own} is the likelier of the two at every scale from 0 up."]
    return [f"Up to scale {order[-1][0]:g} the base's {base} stays likelier than {own.removesuffix(',')}."]


def strength_csv(strength: Strength) -> str:
    """A row for each scale, with the fields of `Point`; probabilities in nats, empty where not known."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["adapter", *(field.name for field in fields(Point))])
    for point in strength.points:
        writer.writerow([strength.adapter, *("" if value is None else value for value in astuple(point))])
    return buffer.getvalue()


def _leads(point: Point) -> bool:
    both = (point.own_logprob, point.base_logprob)
    return both[0] is not None and both[1] is not None and both[0] > both[1]


def _chance(name: str, logprobs: Sequence[float | None], colour: str) -> Line:
    told = ["" if one is None else f"p {words.chance(one)} ({one:.2f} nats)" for one in logprobs]
    highest = max((one for one in logprobs if one is not None), default=0.0)
    meaning = "probability of all its words"
    top = 0.0
    if math.exp(highest) < LEAST_CHANCE:
        meaning, top = f"probability of all its words, over its highest ({highest:.1f} nats)", highest
    values = [None if one is None else math.exp(one - top) for one in logprobs]
    return Line(name, meaning, colour, "", values, told)


def _share(name: str, meaning: str, shares: Sequence[float | None], colour: str) -> Line:
    told = ["" if one is None else words.percent(one) for one in shares]
    return Line(name, meaning, colour, "6 4", list(shares), told)


def _variation(variations: Sequence[float | None], colour: str) -> Line:
    told = ["" if one is None else f"{one:.2f}" for one in variations]
    meaning = (
        "half the sum over cells of |this map - the base's|, each divided by its sum: 0 alike, 1 nothing in common"
    )
    return Line("total variation to base", meaning, colour, "2 4", list(variations), told)


def _within(grids: Float[np.ndarray, "runs rows cols"]) -> Float[np.ndarray, "runs rows cols"]:
    total = grids.sum((1, 2), keepdims=True)
    return np.asarray(np.divide(grids, total, out=np.zeros_like(grids), where=total > 0))


def _missing(session: Session, choice: Choice) -> str:
    if not session.request.images:
        return "There is no picture, so there is no map."
    kept = kept_heads(session) or "none"
    return f"No map: head {choice.head} of layer {choice.layer} was not kept (kept: {kept})."


def _percents(scale: Normalize, unit: str, colormap: str) -> Scale:
    low, high = (float(f"{100 * (end or 0.0):.3g}") for end in (scale.vmin, scale.vmax))
    return Scale(low, high, unit, overlay.data_address(overlay.bar_png(colormap)))
