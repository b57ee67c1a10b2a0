"""What a report shows, as plain data: the agreement between its numbers and what draws them, as HTML or in the browser.

Every field goes to the browser as JSON: texts, numbers, lists; pictures are data addresses. Texts are raw: who draws
them sets them as text. Layers and heads are counted from 0, lines of the data from 1.
"""

from dataclasses import dataclass

from viz.view import Scale


@dataclass(frozen=True)
class Cell:
    """One figure of one variant; `told` is empty where it has none. `interval`: 95 %, empty where there is none.

    span: where low end, mean and high end lie on the row's track, in fractions of it; empty without a figure.
    marks: further places on the track, each with its name, such as chance.
    """

    told: str
    interval: str = ""
    n: int = 0
    span: tuple[float, ...] = ()
    marks: tuple[tuple[float, str], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One figure of all variants, cell by cell in their order; `track`: what its bars run from and to."""

    group: str
    name: str
    how: str
    track: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class HeadRow:
    """One head of those that changed most; `sure`: its corrected p is at most 0.05."""

    layer: int
    head: int
    change: Cell
    p: str
    corrected: str
    sure: bool


@dataclass(frozen=True)
class HeadsView:
    """How every head of one variant changed: `png` has one pixel a head, layers downwards; `sure`: layers and heads.

    missing: why there is no test; then all else is empty.
    """

    variant: str
    colour: str
    told: str
    png: str
    layers: int
    heads: int
    sure: tuple[tuple[int, int], ...]
    top: tuple[HeadRow, ...]
    track: str
    missing: str


@dataclass(frozen=True)
class LookView:
    """What one variant did with one picture; `mark`: "right", "wrong", or empty where nothing was expected.

    map, difference: one pixel a cell, to lie over the picture; the base has no difference. facts: sentences.
    """

    variant: str
    colour: str
    answer: str
    mark: str
    parted: bool
    """Whether its answer is another one than the base's."""
    map: str
    map_told: str
    difference: str
    difference_told: str
    facts: tuple[str, ...]


@dataclass(frozen=True)
class PictureView:
    """One picture with what all variants did. box: left, top, width, height in pixels of the picture; empty: none.

    order: by change, from 0. moved, drifted: how far the map moved and how much the words changed, the largest of all
    variants, to sort by. kinds: what it can be found by: "parted", "worse", "better", "wrong".
    """

    order: int
    line: int
    name: str
    question: str
    expected: str
    words: str
    address: str
    width: int
    height: int
    box: tuple[float, ...]
    moved: float
    drifted: float
    change: str
    kinds: tuple[str, ...]
    looks: tuple[LookView, ...]


@dataclass(frozen=True)
class PartView:
    """One set of pictures. missing: what was not measured, and why; heads_scale: of every chart of heads."""

    name: str
    count: str
    rows: tuple[Row, ...]
    missing: tuple[str, ...]
    heads: tuple[HeadsView, ...]
    heads_scale: Scale
    pictures: tuple[PictureView, ...]
    map_scale: Scale
    difference_scale: Scale
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class ReportView:
    """A whole report. short: what came out, in sentences; asked: names and values; help: headings and texts."""

    title: str
    created: str
    model: str
    variants: tuple[str, ...]
    colours: tuple[str, ...]
    short: tuple[str, ...]
    asked: tuple[tuple[str, str], ...]
    data: PartView
    general: PartView | None
    no_general: str
    methods: tuple[str, ...]
    notes: tuple[str, ...]
    help: tuple[tuple[str, str], ...]
