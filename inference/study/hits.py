"""How often a map points into the box, beside what chance gives, and whether that agrees with the knock-out.

A head is never chosen and told on the same pictures: it is chosen on one half of them, by how much oftener its peak
lies in the picture's own box than in the next one's, and told of the other half. Boxes are here in parts of their
picture's width and height.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from inference.study.lots import Lot
from inference.study.report import FEWEST, Agreement, Hits, Item
from inference.study.statistics import split_groups
from inference.trace.metrics import Box

_Cells = Int[np.ndarray, "lines *axes"]


def map_hits(lot: Lot) -> Hits | None:
    """Of the mean map over all layers and heads; None without boxes."""
    boxed = _boxed(lot)
    if not boxed.records:
        return None
    cells = np.stack([record.heads.map_peaks[lot.place] for record in boxed.records])
    return _hits(boxed, cells, None, None, chosen_on=0)


def calibrated_hits(lot: Lot) -> Hits | None:
    """Of the calibrated spot of each line's wording; None where there is none."""
    known = _calibrated(lot)
    if not known.records:
        return None
    return _hits(known, _calibrated_cells(known), None, None, chosen_on=0)


def best_head(lot: Lot) -> tuple[Hits, Lot] | None:
    """Of the head that points best, and the lines that it is told of; None with boxes on too few pictures to halve."""
    boxed = _boxed(lot)
    if len(np.unique(boxed.groups)) < 2 * FEWEST:
        return None
    first, second = split_groups(boxed.groups, seed=lot.seed)
    choosing, telling = boxed.only(first), boxed.only(second)
    cells = _head_peaks(choosing)
    boxes = _boxes(choosing)
    gain = (_inside(choosing, cells, boxes).mean(0) - _inside(choosing, cells, boxes[_next(choosing)]).mean(0)).round(9)
    layer, head = (int(index) for index in np.unravel_index(int(gain.argmax()), gain.shape))
    told = _hits(telling, _head_peaks(telling)[:, layer, head], layer, head, chosen_on=len(first))
    return told, telling


def map_agreement(lot: Lot) -> Agreement | None:
    """Of the mean map over the variant's own words with the knock-out; None without one."""
    return _agreement(lot, [None if look.need is None else look.need.hit for look in lot.looks])


def calibrated_agreement(lot: Lot) -> Agreement | None:
    """Of the calibrated spot with the knock-out; None without one."""
    known = _calibrated(lot)
    points = _inside(known, _calibrated_cells(known), _boxes(known)).tolist() if known.records else []
    return _agreement(known, points)


def head_agreement(lot: Lot, layer: int, head: int) -> Agreement | None:
    """Of one head over the variant's own words with the knock-out; None without one."""
    points: list[bool | None] = []
    for number, record in enumerate(lot.records):
        own = record.heads.own_peaks
        if own is None or record.item.box is None:
            points.append(None)
            continue
        alone = lot.only(np.array([number]))
        points.append(bool(_inside(alone, own[None, lot.place, layer, head], _boxes(alone))[0]))
    return _agreement(lot, points)


def _agreement(lot: Lot, points: Sequence[bool | None]) -> Agreement | None:
    """`points`: whether the map points into the box, line by line."""
    needs = [look.need for look in lot.looks]
    pairs = [
        None if hit is None or need is None else (hit, need.depends) for hit, need in zip(points, needs, strict=True)
    ]
    rate = lot.mean_of([None if pair is None else float(pair[0] == pair[1]) for pair in pairs])
    if rate is None:
        return None
    counts = Counter(pairs)
    return Agreement(rate, counts[True, True], counts[True, False], counts[False, True], counts[False, False])


def _hits(lot: Lot, cells: _Cells, layer: int | None, head: int | None, *, chosen_on: int) -> Hits:
    """Of one map a line."""
    boxes = _boxes(lot)
    rate = lot.mean_of(_inside(lot, cells, boxes).astype(float).tolist())
    assert rate is not None, "there is at least one line"
    several = len(np.unique(lot.groups)) > 1
    shuffled = float(_inside(lot, cells, boxes[_next(lot)]).mean()) if several else None
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return Hits(layer, head, rate, float(area.mean()), shuffled, chosen_on)


def _boxed(lot: Lot) -> Lot:
    return lot.only(np.array([record.item.box is not None for record in lot.records], bool))


def _calibrated(lot: Lot) -> Lot:
    """The lines with a box and a calibrated spot."""
    boxed = _boxed(lot)
    return boxed.only(np.array([record.heads.calibrated_peaks is not None for record in boxed.records], bool))


def _calibrated_cells(lot: Lot) -> Int[np.ndarray, "lines"]:
    return np.array(
        [cells[lot.place] for record in lot.records if (cells := record.heads.calibrated_peaks) is not None]
    )


def _head_peaks(lot: Lot) -> Int[np.ndarray, "lines layers heads"]:
    return np.stack([record.heads.peaks[lot.place] for record in lot.records])


def _inside(lot: Lot, cells: _Cells, boxes: Float[np.ndarray, "lines 4"]) -> Bool[np.ndarray, "lines *axes"]:
    """Whether the middle of each line's cell lies in the line's box; no cell (-1) does."""
    axes = (slice(None), *[None] * (cells.ndim - 1))
    rows, cols = np.array([record.heads.grid_hw for record in lot.records]).T
    left, top, right, bottom = (edge[axes] for edge in boxes.T)
    x, y = (cells % cols[axes] + 0.5) / cols[axes], (cells // cols[axes] + 0.5) / rows[axes]
    return np.asarray((cells >= 0) & (left <= x) & (x <= right) & (top <= y) & (y <= bottom))


def _boxes(lot: Lot) -> Float[np.ndarray, "lines 4"]:
    return np.array([_part(record.item) for record in lot.records])


def _part(item: Item) -> Box:
    """The item's box in parts of its picture."""
    (width, height), box = item.size_wh, item.box
    assert box is not None, "these lines have boxes"
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height


def _next(lot: Lot) -> Int[np.ndarray, "lines"]:
    """For each line the next one about another picture, beginning anew at the end."""
    count, found = len(lot.records), []
    for at in range(count):
        later = (other % count for other in range(at + 1, at + count))
        found.append(next(other for other in later if lot.groups[other] != lot.groups[at]))
    return np.array(found, np.intp)
