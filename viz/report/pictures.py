"""The pictures of a set, those that changed most first, each with what every variant did. Knows no HTML and no page."""

import base64
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.colors import Normalize

from inference.study.report import Change, Item, Look, Need, Part
from viz import overlay
from viz.report.heads import difference_bar
from viz.report.numbers import in_unit, share, short, signed
from viz.report.view import LookView, PictureView
from viz.view import Scale

COLORMAP = "viridis"
_JPEG = b"\xff\xd8\xff"

Grid = Float[np.ndarray, "rows cols"]
Scales = tuple[Normalize, Normalize]


def picture_views(
    part: Part, variants: Sequence[str], colours: Sequence[str]
) -> tuple[tuple[PictureView, ...], Scale, Scale]:
    """The pictures, and the two scales, of maps and of differences, that all of them share."""
    ranked = sorted(part.items, key=lambda item: (-_most(item, "variation"), item.number))
    grids = [[np.asarray(look.grid) for look in item.looks] for item in ranked]
    of_maps = overlay.colour_scale([grid for each in grids for grid in each])
    of_changes = overlay.difference_scale([grid - each[0] for each in grids for grid in each[1:]])
    names = list(zip(variants, colours, strict=True))
    views = tuple(
        _picture(order, item, grids[order], (of_maps, of_changes), names) for order, item in enumerate(ranked)
    )
    high = float(f"{100 * (of_maps.vmax or 0.0):.3g}")
    bar = Scale(0.0, high, "% of all attention", overlay.data_address(overlay.bar_png(COLORMAP)))
    return views, bar, difference_bar(of_changes, "points of all attention")


def _picture(
    order: int, item: Item, grids: list[Grid], scales: Scales, names: Sequence[tuple[str, str]]
) -> PictureView:
    looks = tuple(_look(item, place, variant, colour, grids, scales) for place, (variant, colour) in enumerate(names))
    left, top, right, bottom = item.box or (0.0, 0.0, 0.0, 0.0)
    return PictureView(
        order=order,
        line=item.number,
        name=item.picture,
        question=item.question,
        expected=" or ".join(item.expected),
        words=item.words,
        address=_address(item.thumbnail),
        width=item.size_wh[0],
        height=item.size_wh[1],
        box=(left, top, right - left, bottom - top) if item.box else (),
        moved=_most(item, "variation"),
        drifted=_most(item, "divergence"),
        change=_changed(item),
        kinds=_kinds(item),
        looks=looks,
    )


def _look(item: Item, place: int, variant: str, colour: str, grids: list[Grid], scales: Scales) -> LookView:
    look, grid = item.looks[place], grids[place]
    change = grid - grids[0]
    return LookView(
        variant=variant,
        colour=colour,
        answer=look.answer,
        mark={True: "right", False: "wrong", None: ""}[look.right],
        parted=look.change is not None and look.change.answer,
        map=overlay.data_address(overlay.map_png(grid, scales[0], COLORMAP)),
        map_told=f"{share(look.share)} of its attention here, {share(float(grid.max()))} in the brightest cell",
        difference=overlay.data_address(overlay.difference_png(change, scales[1])) if place else "",
        difference_told=f"{signed(100 * change.min())} to {signed(100 * change.max())} points in a cell"
        if place
        else "",
        facts=tuple(_facts(item, look)),
    )


def _facts(item: Item, look: Look) -> list[str]:
    """What was measured of this variant on this picture, a sentence each."""
    told = []
    if look.box is not None:
        peak = "lies in it" if look.box.hit else "lies outside"
        told.append(
            f"Box: {share(look.box.share)} of all attention, lift {short(look.box.lift)}; the brightest cell {peak}."
        )
    if look.need is not None:
        told.append(_need_told(look.need))
    if look.change is not None:
        told.append(_change_told(look.change))
    if look.expected_logprob is not None:
        told.append(f"Expected answer: {in_unit(look.expected_logprob, 'nats')}.")
    told.append(f"The base's words: {in_unit(look.logprob, 'nats')}.")
    return told


def _need_told(need: Need) -> str:
    random = ""
    if need.random:
        low, high = short(min(need.random)), short(max(need.random))
        random = f"; {len(need.random)} random boxes {low} to {high}"
    needs = "the answer needs the box" if need.depends else "no need of the box found"
    peak = "its map's peak lies there" if need.hit else "its map's peak lies elsewhere"
    return f"Hiding the box costs its answer {in_unit(need.box, 'nats')}{random}: {needs}; {peak}."


def _change_told(change: Change) -> str:
    heads = f", heads' maps {short(change.heads)}" if change.heads is not None else ""
    words = f"words {in_unit(change.divergence, 'nats')} apart (KL), log-probability {signed(change.logprob)} nats"
    return (
        f"Against the base: map moved {short(change.variation)}{heads}; {in_unit(change.share, 'points')} on the "
        f"picture; {words}."
    )


def _changed(item: Item) -> str:
    """How much changed, the largest of all variants."""
    if len(item.looks) < 2:
        return ""
    return f"map moved {short(_most(item, 'variation'))}, words {in_unit(_most(item, 'divergence'), 'nats')} apart"


def _most(item: Item, field: str) -> float:
    return max((getattr(look.change, field) for look in item.looks if look.change is not None), default=0.0)


def _kinds(item: Item) -> tuple[str, ...]:
    base, others = item.looks[0], item.looks[1:]
    told = {
        "parted": any(look.change is not None and look.change.answer for look in others),
        "worse": any(base.right is True and look.right is False for look in others),
        "better": any(base.right is False and look.right is True for look in others),
        "wrong": any(look.right is False for look in item.looks),
    }
    return tuple(name for name, holds in told.items() if holds)


def _address(thumbnail: bytes) -> str:
    """The thumbnail as a data address; empty for what is no JPEG, which a stranger's file may hold."""
    if not thumbnail.startswith(_JPEG):
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(thumbnail).decode("ascii")
