"""The comparison in words: changes in their units, the noise floor kind by kind, sinks and what they hold.

Sentences for the page and for the caption of its figure; knows no colours and no page.
"""

import numpy as np
from jaxtyping import Float

from inference.evidence.floor import ALIKE, KINDS, Kind
from inference.trace import compare, sinks
from inference.trace.session import PARTS, Trace
from viz import words
from viz.change_aids import Aids, shares_of
from viz.change_shown import ShownHeads, ShownMaps
from viz.change_view import FloorView, Noise, NoiseRow, Pair, Ranked, SinkView
from viz.changed import Changed, cell_maps
from viz.sums import parts_at
from viz.view import Choice

NO_FLOOR = (
    "No floor for these tokens. Of a re-worded question only tokens of the answer can be compared; all others only "
    "where the same words were read."
)
NOT_REWORDED = "The re-worded question is left out here, for only tokens of its answer can be compared."

Grid = Float[np.ndarray, "rows cols"]


def told_value(value: float, pair: Pair) -> str:
    """A change of a head in words: signed percentage points, or a number from 0 to 1."""
    return f"{100 * value:+.2g} points" if pair.measure == "share" else f"{value:.2f}"


def ranked_told(ranked: compare.RankedHead, shown: ShownHeads, pair: Pair) -> Ranked:
    """One head of the list, and how it lies to the noise floor if there is one."""
    times = None if shown.times is None else abs(float(shown.times[ranked.layer, ranked.head]))
    under = times is not None and times < 1
    told = "" if times is None or np.isnan(times) else "under the floor" if under else f"{short(times)} x floor"
    return Ranked(ranked.layer, ranked.head, told_value(ranked.value, pair), told, under)


def short(times: float) -> str:
    """A multiple with two digits, above a thousand no more than that."""
    return "over 1000" if times > 1000 else f"{times:.0f}" if times >= 10 else f"{times:.2g}"


def cell_told(found: Changed, choice: Choice, pair: Pair, shown: ShownMaps | None) -> str:
    """The change at the chosen layer and head by each measure; said to have the sinks in it where they are hidden."""
    before, after = (on_picture(run.trace, found.tokens, choice) for run in (found.a, found.b))
    told = _measures(after - before, *cell_maps(found, choice))
    return f"Sinks counted in: {_lower(told)}" if pair.hide and shown is not None and shown.sinks.any() else told


def on_picture(trace: Trace, tokens: slice, choice: Choice) -> float:
    """The share of all the attention at the chosen layer and head that goes to the chosen picture."""
    return float(parts_at(trace, choice.layer, choice.head)[tokens, len(PARTS) + choice.image].mean())


def floor_view(shown: ShownHeads, aids: Aids, pair: Pair) -> FloorView | None:
    """Each kind of noise beside the change; None while nothing was measured."""
    if not aids.floor:
        return None
    rows = [_noise_row(kind, shown, pair) for kind in KINDS if kind in shown.floors]
    if rows and not shown.missing:
        together = [kind for kind in ALIKE if kind in shown.floors]
        if len(together) > 1:
            most = _largest(shown, together)
            rows.insert(0, _row("alike", "the largest of those that ought to be alike", most, shown, pair))
    is_reworded = len({rerun.request.question for rerun in aids.floor}) > 1
    left_out = NOT_REWORDED if is_reworded and "question" not in shown.floors else ""
    return FloorView(rows, left_out if rows else shown.missing or NO_FLOOR)


def sink_view(found: Changed, choice: Choice, shown: ShownMaps | None, pair: Pair, aids: Aids) -> SinkView | None:
    """The sinks of the maps shown, and what they hold; None while no neutral question was asked."""
    if aids.neutral is None:
        return None
    asked = aids.neutral.request.question
    if shown is None:
        return SinkView(asked, [], "", sinks.RULE, sinks.RELATIVE)
    rows, cols = shown.sinks.shape
    places = [(int(row), int(col)) for row, col in np.argwhere(shown.sinks)]
    cells = [[col / cols, row / rows, (col + 1) / cols, (row + 1) / rows] for row, col in places]
    return SinkView(asked, cells, _sinks_told(found, choice, shown, pair, len(places)), sinks.RULE, sinks.RELATIVE)


def _sinks_told(found: Changed, choice: Choice, shown: ShownMaps, pair: Pair, count: int) -> str:
    if not count:
        return "No cell of these maps is a sink."
    in_a, in_b = shares_of(found, choice, shown.sinks)
    on_a, on_b = (on_picture(run.trace, found.tokens, choice) for run in (found.a, found.b))
    which = "1 cell is a sink" if count == 1 else f"{count} cells are sinks"
    without = [np.where(shown.sinks, 0, grid) for grid in cell_maps(found, choice)]
    labels = [run.variant.label for run in (found.a, found.b)]
    return (
        f"{which}: {words.percent(in_a)} of all the attention of {labels[0]}, {words.percent(in_b)} of {labels[1]}"
        f"{', hidden here' if pair.hide else ''}. "
        f"Without: {_lower(_measures((on_b - in_b) - (on_a - in_a), *without))}"
    )


def _measures(share: float, map_a: Grid, map_b: Grid) -> str:
    within_a, within_b = (
        grid.ravel() / total if (total := float(grid.sum())) > 0 else np.full(grid.size, np.nan)
        for grid in (map_a, map_b)
    )
    apart = float(compare.total_variation(within_a, within_b))
    if np.isnan(apart):
        return f"Share on the picture {100 * share:+.2g} points; one of the two does not look at it at all."
    distance = float(compare.shannon_distance(within_a, within_b))
    return (
        f"Share on the picture {100 * share:+.2g} points, total variation {apart:.2f}, "
        f"Jensen-Shannon distance {distance:.2f}."
    )


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _noise_row(kind: Kind, shown: ShownHeads, pair: Pair) -> NoiseRow:
    return _row(kind, KINDS[kind], shown.floors[kind], shown, pair)


def _row(kind: Noise, told: str, floor: np.ndarray, shown: ShownHeads, pair: Pair) -> NoiseRow:
    known = np.abs(shown.values[~np.isnan(floor) & ~np.isnan(shown.values)])
    floors = floor[~np.isnan(floor) & ~np.isnan(shown.values)]
    if not known.size:
        return NoiseRow(kind, told, "", "", "no head has a value")
    median, largest = (_size(float(one), pair) for one in (np.median(floors), floors.max()))
    above = f"{int((known > floors).sum())} of {known.size}"
    return NoiseRow(kind, told, median, largest, above)


def _size(value: float, pair: Pair) -> str:
    return f"{100 * value:.2g} points" if pair.measure == "share" else f"{value:.2g}"


def _largest(shown: ShownHeads, kinds: list[Kind]) -> np.ndarray:
    return np.asarray(np.fmax.reduce([shown.floors[kind] for kind in kinds]))
