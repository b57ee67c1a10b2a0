"""What differs between two traces of the same words: for every head how much, for one head where and how far.

Notation: M_a[c] is the share of all its attention that a spot gives cell c of the picture, mean over the chosen tokens
(`maps.image_map`); W_a = M_a / sum(M_a) the same within the picture. Every figure compares trace b with trace a, so a
is the one to come from: the base, or another adapter. Knows no colours and no model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from inference.errors import SettingsError
from inference.trace import maps
from inference.trace.session import Trace

Measure = Literal["share", "variation", "shannon"]
"""How much a head changed. share: on the picture, sum(M_b) - sum(M_a), signed, in shares of all the attention.
variation: total variation, half the sum over cells of |W_b - W_a|, 0 to 1. shannon: Jensen-Shannon distance, the root
of the base-2 divergence of W_a and W_b, 0 to 1."""

EXACT_CELLS = 400
"""Largest map whose earth mover's distance is computed exactly: its time grows with the square of the cells."""


Cells = Bool[np.ndarray, "layers heads cells"]
"""Cells of a picture, row by row of it, chosen for every head."""


@dataclass(frozen=True)
class Moved:
    """How far a map moved, in cells; `exact` False: a lower bound."""

    cells: float
    exact: bool


@dataclass(frozen=True)
class RankedHead:
    """One head in the list of those that changed most; `value` as the list is sorted by."""

    layer: int
    head: int
    value: float


def check_comparable(a: Trace, b: Trace, tokens: slice) -> None:
    """Refuses tokens that did not look from the same place, over the same words and the same picture grids.

    Raises:
        SettingsError: with what differs.
    """
    if a.images != b.images:
        raise SettingsError("two runs over the same pictures", "other picture grids", "ask again with one picture size")
    if (a.layers, a.heads, a.sums.shape[1:]) != (b.layers, b.heads, b.sums.shape[1:]):
        raise SettingsError("two runs of the same kept layers and heads", "other ones", "keep the same in both")
    if not have_read_alike(a, b, tokens):
        raise SettingsError(
            "tokens that come after the same words in both", "other words", "ask again with the same words for all"
        )


def have_read_alike(a: Trace, b: Trace, tokens: slice) -> bool:
    """Whether these tokens looked from the same places in both, and all tokens kept up to there are the same.

    So the row that predicts the first token at which two answers part may be compared, and none after it; those of
    the question always.
    """
    return _read(a, tokens) == _read(b, tokens)


def head_change(
    a: Trace, b: Trace, measure: Measure, *, tokens: slice, image: int = 0, without: Cells | None = None
) -> Float[np.ndarray, "layers heads"]:
    """The change of every head from a to b, mean over the tokens first; `without` as `heads_apart` has it.

    A distance is NaN where the head's rows were not kept, or where one of the two does not look at the picture at all.

    Source: Lin, "Divergence measures based on the Shannon entropy" (1991); Endres and Schindelin (2003) for its root.
    """
    check_comparable(a, b, tokens)
    return heads_apart(a, b, measure, tokens=(tokens, tokens), image=image, without=without)


def heads_apart(
    a: Trace,
    b: Trace,
    measure: Measure,
    *,
    tokens: tuple[slice, slice],
    image: int = 0,
    without: Cells | None = None,
) -> Float[np.ndarray, "layers heads"]:
    """`head_change` for tokens of a and of b that whoever asks takes for the same; the grids have to be of one size.

    without: cells that count as dark in both; a share is then NaN too where the rows were not kept.
    """
    if measure == "share" and without is None:
        before, after = (maps.layer_head_share(one, at, image) for one, at in zip((a, b), tokens, strict=True))
        return np.asarray(after - before)
    values = np.full(a.sums.shape[1:3], np.nan, np.float32)
    for layer in a.layers:
        # A layer at a time: all heads of a large model over a large picture would be hundreds of megabytes.
        both = [
            maps.head_maps(one, tokens=at, layer=layer, image=image) for one, at in zip((a, b), tokens, strict=True)
        ]
        flat = [grids.reshape(len(grids), -1) for grids in both]
        if without is not None:
            flat = [np.where(without[layer], grids * 0, grids) for grids in flat]  # what is NaN stays so
        values[layer] = _DISTANCES[measure](*flat)
    return values


def total_variation(
    a: Float[np.ndarray, "*maps cells"], b: Float[np.ndarray, "*maps cells"]
) -> Float[np.ndarray, "*maps"]:
    """Half the sum of |b - a| over the last axis: the share of attention that would have to move."""
    return np.asarray(np.abs(b - a).sum(-1) / 2)


def shannon_distance(
    a: Float[np.ndarray, "*maps cells"], b: Float[np.ndarray, "*maps cells"]
) -> Float[np.ndarray, "*maps"]:
    """Root of the mean of the divergences of a and b from their mean, in bits; 0 log 0 counts as 0."""
    middle = (a + b) / 2
    divergence = (_relative_entropy(a, middle) + _relative_entropy(b, middle)) / 2
    return np.asarray(np.sqrt(np.maximum(divergence, 0)))


def moved(a: Float[np.ndarray, "rows cols"], b: Float[np.ndarray, "rows cols"]) -> Moved:
    """Earth mover's distance between two maps, each divided by its sum: mean distance in cells that a share travels.

    Distances are straight lines between cell centres. Beyond `EXACT_CELLS` cells: the larger of the distances along
    the two axes alone, which the whole can only exceed.

    Raises:
        SettingsError: one of the maps is empty of attention.
    """
    if not (a.sum() > 0 and b.sum() > 0):
        raise SettingsError("two maps with attention on the picture", "one without", "choose another head or token")
    before, after = (np.asarray(one, np.float64) / one.sum(dtype=np.float64) for one in (a, b))
    if a.size > EXACT_CELLS:
        along = (_along_axis(before.sum(1 - axis), after.sum(1 - axis)) for axis in (0, 1))
        return Moved(max(along), exact=False)
    # What both have in common stays where it is in a best plan, so the plan is made for the rest alone.
    surplus = (before - after).ravel()
    gone, come = surplus > 1e-12, surplus < -1e-12
    if not (gone.any() and come.any()):
        return Moved(0.0, exact=True)
    from scipy.stats import wasserstein_distance_nd  # half a second to import, which a page that starts need not wait

    places = np.argwhere(np.ones(a.shape)).astype(np.float64)
    mean = wasserstein_distance_nd(places[gone], places[come], surplus[gone], -surplus[come])
    return Moved(float(mean * surplus[gone].sum()), exact=True)


def rank_heads(values: Float[np.ndarray, "layers heads"], count: int) -> list[RankedHead]:
    """The heads of largest |value|, largest first, at most `count`; those without a value take no part."""
    size = np.where(np.isnan(values), -1.0, np.abs(values))
    order = np.argsort(-size, axis=None, kind="stable")[:count]
    found = [tuple(int(index) for index in np.unravel_index(flat, values.shape)) for flat in order]
    return [RankedHead(layer, head, float(values[layer, head])) for layer, head in found if size[layer, head] >= 0]


def rank_correlation(a: Float[np.ndarray, "layers heads"], b: Float[np.ndarray, "layers heads"]) -> float:
    """Spearman's correlation of |a| and |b| over the heads that both have a value for; NaN where one is constant."""
    both = ~(np.isnan(a) | np.isnan(b))
    left, right = np.abs(a[both]), np.abs(b[both])
    if left.size < 2 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return float("nan")
    return float(np.corrcoef(_ranks(left), _ranks(right))[0, 1])


def first_parting(a: Sequence[int], b: Sequence[int]) -> int | None:
    """The first place at which two answers' token ids part, a missing token counting as another; None: never."""
    for place in range(max(len(a), len(b))):
        if place >= min(len(a), len(b)) or a[place] != b[place]:
            return place
    return None


def _read(trace: Trace, tokens: slice) -> tuple[list[int], list[int]]:
    """From where the tokens look, and all kept tokens that the last of them has read."""
    from_where = [token.row_at for token in trace.tokens[tokens]]
    last = max(from_where, default=-1)
    return from_where, [token.id for token in trace.tokens if token.position <= last]


def _within(flat: Float[np.ndarray, "heads cells"]) -> Float[np.ndarray, "heads cells"]:
    """Each head's map divided by its sum; NaN where it has none."""
    total = flat.sum(-1, keepdims=True)
    return np.asarray(np.divide(flat, total, out=np.full_like(flat, np.nan), where=total > 0))


def _ranks(values: Float[np.ndarray, "heads"]) -> Float[np.ndarray, "heads"]:
    """Each value's rank from 1 for the smallest; equal ones share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place])


def _relative_entropy(a: Float[np.ndarray, "*maps cells"], b: Float[np.ndarray, "*maps cells"]) -> np.ndarray:
    ratio = np.divide(a, b, out=np.ones_like(a), where=(a > 0) | np.isnan(a))
    return np.asarray((a * np.log2(ratio)).sum(-1))


def _along_axis(a: Float[np.ndarray, "places"], b: Float[np.ndarray, "places"]) -> float:
    """In one dimension the plan is known: the shares that cross each border, added up."""
    return float(np.abs(np.cumsum(a - b)).sum())


_DISTANCES: dict[Measure, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "share": lambda a, b: np.asarray(b.sum(-1) - a.sum(-1)),
    "variation": lambda a, b: total_variation(_within(a), _within(b)),
    "shannon": lambda a, b: shannon_distance(_within(a), _within(b)),
}
