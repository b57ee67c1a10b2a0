"""Which heads changed over a set of pictures, as charts and lists. Knows no HTML and no page."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize

from inference.study.report import FEWEST, HeadChange, HeadTest, Part
from inference.study.summary import SURE
from viz import overlay
from viz.report.numbers import figure_cell, in_unit, probability, track_of, track_told
from viz.report.view import HeadRow, HeadsView
from viz.view import Scale

MOST_HEADS = 12


def heads_views(part: Part, colours: Sequence[str]) -> tuple[tuple[HeadsView, ...], Scale]:
    """A chart and a list for every variant but the base, and the one scale that all the charts share."""
    tests = [one.heads for one in part.summaries if one.heads is not None]
    scale = overlay.difference_scale([np.asarray(test.change) for test in tests])
    track = track_of([one.change for test in tests for one in test.top[:MOST_HEADS]])
    views = tuple(
        _view(summary.variant, colour, summary.heads, part.pictures, scale, track)
        for summary, colour in zip(part.summaries, colours, strict=False)
        if summary.drift is not None
    )
    return views, difference_bar(scale, "points of all attention")


def difference_bar(scale: Normalize, unit: str) -> Scale:
    """The diverging scale as people read it, in percentage points."""
    high = float(f"{100 * (scale.vmax or 0.0):.3g}")
    return Scale(-high, high, unit, overlay.data_address(overlay.bar_png(overlay.DIVERGING)))


def _view(
    variant: str, colour: str, test: HeadTest | None, n: int, scale: Normalize, track: tuple[float, float]
) -> HeadsView:
    if test is None:
        missing = f"No test of the heads: it takes at least {FEWEST} pictures, and there are {n}."
        return HeadsView(variant, colour, "", "", 0, 0, (), (), "", missing)
    change, corrected = np.asarray(test.change), np.asarray(test.corrected)
    png = overlay.data_address(overlay.sprite_png(change[None], scale, overlay.DIVERGING))
    sure = tuple((int(layer), int(head)) for layer, head in np.argwhere(corrected <= SURE))
    top = tuple(_row(one, track) for one in test.top[:MOST_HEADS])
    layers, heads = change.shape
    return HeadsView(
        variant, colour, _told(test, change.size), png, layers, heads, sure, top, track_told(track, "points"), ""
    )


def _row(one: HeadChange, track: tuple[float, float]) -> HeadRow:
    cell = figure_cell(one.change, "points", track)
    return HeadRow(one.layer, one.head, cell, probability(one.p), probability(one.corrected), one.corrected <= SURE)


def _told(test: HeadTest, heads: int) -> str:
    flips = f"{'all ' if test.exact else ''}{test.flips:,} ways of flipping the pictures' signs"
    return (
        f"{test.significant} of {heads} heads changed how much they look at the picture by more than chance "
        f"(corrected p at most {SURE:g}; n {test.n}, {flips}).{_most(test.top)}"
    )


def _most(top: Sequence[HeadChange]) -> str:
    if not top:
        return ""
    first = top[0]
    return f" Most: layer {first.layer}, head {first.head}, by {in_unit(first.change.mean, 'points')}."
