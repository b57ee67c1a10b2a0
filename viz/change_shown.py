"""What is drawn of a comparison, in numbers: every head's change in the unit chosen, and maps with their difference.

The page and the figure for a paper both draw from here, so that they show the same. Knows no picture and no page.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.colors import Normalize

from inference.evidence.floor import Kind
from inference.trace import sinks
from inference.trace.session import Session
from viz import overlay
from viz.change_aids import (
    Aids,
    chosen_floor,
    floors,
    head_sinks,
    map_sinks,
    multiples,
    neutral_maps,
)
from viz.change_view import Pair
from viz.changed import FORMULAS, Changed, cell_maps, head_values
from viz.view import Choice

MOST_TIMES = 1000.0
"""Beyond so many times the floor a chart's colour stays the same."""

HeadValues = Float[np.ndarray, "layers heads"]
Grid = Float[np.ndarray, "rows cols"]


@dataclass(frozen=True, eq=False)
class ShownHeads:
    """One column: `values` as measured; `drawn` as coloured, the values or the log10 of how many times the floor.

    times: the multiples of the floor, signed; None without one. under: heads that do not rise above it, which stay
    grey; nowhere where the unit is shares. floors: by each kind of noise. missing: why there is nothing to draw.
    """

    values: HeadValues
    drawn: HeadValues
    times: HeadValues | None
    under: Bool[np.ndarray, "layers heads"]
    floors: Mapping[Kind, HeadValues]
    missing: str


@dataclass(frozen=True, eq=False)
class ShownMaps:
    """The maps of a and b, b less a, and the cells that are sinks; relative maps are in log2 and signed."""

    a: Grid
    b: Grid
    difference: Grid
    sinks: Bool[np.ndarray, "rows cols"]


def shown_heads(session: Session, found: Changed, choice: Choice, pair: Pair, aids: Aids) -> ShownHeads:
    """The change of every head as the pair's measure, unit and switches have it.

    The floor is worked out where something shows it: for the pair itself, or for charts in its multiples.
    """
    without = head_sinks(found, choice.image, aids) if pair.hide else None
    # By the cells themselves: another neutral question may find others.
    key = None if without is None else ("without sinks", hashlib.sha256(np.packbits(without).tobytes()).digest())
    values = head_values(found, pair.measure, choice.image, without=without, key=key)
    noise: dict[Kind, HeadValues] = {}
    if pair.unit == "floor" or found.b.variant.label == pair.b:
        noise = floors(session, found, pair.measure, choice.image, aids, without=without, key=key)
    floor = chosen_floor(noise, pair.noise)
    times = None if floor is None else multiples(values, floor)
    nothing = np.zeros(values.shape, bool)
    if pair.unit == "shares" or found.missing:
        return ShownHeads(values, values, times, nothing, noise, found.missing)
    if times is None:
        missing = "No noise floor for these tokens: measure it, or choose a token of the answer."
        return ShownHeads(values, np.full_like(values, np.nan), None, nothing, noise, missing)
    drawn = np.sign(times) * np.log10(np.clip(np.abs(times), 1, MOST_TIMES))
    return ShownHeads(values, np.asarray(drawn), times, np.asarray(np.abs(times) < 1), noise, "")


def heads_scale(drawn: Sequence[HeadValues], pair: Pair) -> Normalize:
    """The one scale of all columns: round zero for what is signed, else from 0 to the largest."""
    if pair.unit == "floor":  # at least to twice the floor, so that what is just above it stays faint
        drawn = [*drawn, np.array([[np.log10(2)]])]
    return overlay.difference_scale(drawn) if pair.measure == "share" else overlay.colour_scale(drawn)


def chart_colours(pair: Pair, choice: Choice) -> str:
    """The colour map of the charts of change."""
    return overlay.DIVERGING if pair.measure == "share" else choice.colormap


def formula_told(pair: Pair, aids: Aids) -> str:
    """How a cell of the charts is reckoned, for people."""
    formula = FORMULAS[pair.measure][1]
    if pair.hide and aids.neutral is not None:
        formula = f"{formula} Sinks are left out."
    if pair.unit == "shares":
        return formula
    again = "a run and the same run again, of A and of B"
    if pair.noise == "shuffle":
        again = "the base and each adapter with shuffled factors"
    return f"{formula} Divided by the noise floor of the head: the largest that this figure is between {again}."


def shown_maps(found: Changed, choice: Choice, pair: Pair, aids: Aids) -> ShownMaps | None:
    """The maps at the choice, without sinks or against the neutral question where that is chosen; None: no map."""
    if found.blind:
        return None
    grids = cell_maps(found, choice)
    cells = map_sinks(found, choice, grids, aids)
    if is_relative(pair, aids):
        neutral = neutral_maps(found, choice, aids)
        grids = (_relative(grids[0], neutral[0]), _relative(grids[1], neutral[1]))
    if pair.hide:
        grids = (np.where(cells, 0, grids[0]), np.where(cells, 0, grids[1]))
    return ShownMaps(grids[0], grids[1], np.asarray(grids[1] - grids[0]), cells)


def hidden_cells(found: Changed, choice: Choice, pair: Pair, aids: Aids) -> Bool[np.ndarray, "rows cols"] | None:
    """The cells that are left out of the maps at the choice; None if none are."""
    if found.blind or not pair.hide or aids.neutral is None:
        return None
    return map_sinks(found, choice, cell_maps(found, choice), aids)


def is_relative(pair: Pair, aids: Aids) -> bool:
    """Whether maps are drawn against those of a neutral question."""
    return pair.relative and aids.neutral is not None


def map_scales(shown: Sequence[ShownMaps], *, signed: bool) -> tuple[Normalize, Normalize]:
    """Of the maps, and of their differences, over all variants compared, so that the choice of B changes no colour."""
    grids = [grid for one in shown for grid in (one.a, one.b)]
    scale = overlay.difference_scale(grids) if signed else overlay.colour_scale(grids)
    return scale, overlay.difference_scale([one.difference for one in shown])


def _relative(grid: Grid, neutral: Grid) -> Grid:
    """The relative map, 0 where one of the two has no attention at all."""
    return np.asarray(np.nan_to_num(sinks.relative_map(grid.ravel(), neutral.ravel()).reshape(grid.shape)))
