"""Figures of merit for a map against a box on the picture: agreement with the box, which is no proof of use.

A box is (left, top, right, bottom) in pixels of the picture as it arrived. Cells are those that the box covers in part,
each weighted by the part of its area that is covered. Knows no model and no colours.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from inference.errors import GeometryError
from inference.trace import maps
from inference.trace.session import ImageSpan, Trace

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class BoxFigures:
    """How much of a map lies in a box.

    share: of all the attention; within: of what went to the picture, 0 if nothing did. area: of the picture, covered
    by the box; lift: `within` over `area`, so 1 is what an even map has. hit: the brightest cell's centre is in it.
    """

    share: float
    within: float
    area: float
    lift: float
    hit: bool


def check_box(box: Box, size_wh: tuple[int, int]) -> Box:
    """The box with its corners in order, cut to the picture.

    Raises:
        GeometryError: numbers that are not finite, or nothing left of it inside the picture.
    """
    if len(box) != 4 or not np.isfinite(box).all():
        raise GeometryError("a box as left, top, right, bottom in pixels", str(box)[:60], "give four numbers")
    (left, right), (top, bottom) = sorted(box[0::2]), sorted(box[1::2])
    width, height = size_wh
    cut = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    if cut[0] >= cut[2] or cut[1] >= cut[3]:
        raise GeometryError(
            f"a box with an area, inside the picture of {width} x {height} px", str(box), "draw it on the picture"
        )
    return cut


def box_cover(span: ImageSpan, box: Box) -> Float[np.ndarray, "rows cols"]:
    """The part of each cell's area, 0 to 1, that the box covers."""
    left, top, right, bottom = check_box(box, span.original_wh)
    width, height = span.original_wh
    across = _cover(span.cols, width, left, right)
    down = _cover(span.rows, height, top, bottom)
    return np.asarray(down[:, None] * across[None, :], np.float32)


def box_figures(grid: Float[np.ndarray, "rows cols"], span: ImageSpan, box: Box) -> BoxFigures:
    """The figures of a map (`maps.image_map`, shares of all the attention) for a box."""
    cover = box_cover(span, box)
    share, total, area = float((grid * cover).sum()), float(grid.sum()), float(cover.mean())
    within = share / total if total > 0 else 0.0
    row, col = np.unravel_index(int(grid.argmax()), grid.shape)
    left, top, right, bottom = check_box(box, span.original_wh)
    x, y = (col + 0.5) * span.original_wh[0] / span.cols, (row + 0.5) * span.original_wh[1] / span.rows
    hit = total > 0 and bool(left <= x <= right and top <= y <= bottom)
    return BoxFigures(share, within, area, within / area, hit)


def box_shares(trace: Trace, box: Box, *, tokens: slice, image: int = 0) -> Float[np.ndarray, "layers heads"]:
    """Share of all its attention that every head gives the box, mean over the tokens; NaN where it was not kept."""
    cover = box_cover(trace.images[image], box)
    values = np.full(trace.sums.shape[1:3], np.nan, np.float32)
    for layer in trace.layers:
        grids = maps.head_maps(trace, tokens=tokens, layer=layer, image=image)
        values[layer] = (grids * cover).sum((-2, -1))
    return values


def _cover(cells: int, length: float, low: float, high: float) -> Float[np.ndarray, "cells"]:
    edges = np.linspace(0, length, cells + 1)
    return np.asarray((np.clip(edges[1:], low, high) - np.clip(edges[:-1], low, high)) / (length / cells), np.float32)
