"""What the Compare room shows for one choice, as plain data, and what is chosen there beside token, layer and head.

As in `viz.view` every field goes to the browser as JSON: text, numbers, lists; pictures as data addresses.
"""

from dataclasses import dataclass
from typing import Literal

from inference.trace.compare import Measure
from inference.trace.metrics import Box
from viz.view import Scale, Sprite

Unit = Literal["shares", "floor"]
"""What charts of change are in: the measure itself, or multiples of the noise floor."""
Noise = Literal["alike", "shift", "jpeg", "question", "precision", "shuffle"]


@dataclass(frozen=True)
class Pair:
    """Which variant is compared with which, and how: from `a` to `b`, labels of two variants of the session."""

    a: str
    b: str
    measure: Measure = "share"
    box: Box | None = None
    """A box on the chosen picture: left, top, right, bottom in pixels of the picture as it arrived."""
    unit: Unit = "shares"
    noise: Noise = "alike"
    """Which noise the floor is taken from: the largest of what ought to be alike, or one kind."""
    hide: bool = False
    """Sinks are left out of maps and figures; without a neutral question there are none."""
    relative: bool = False
    """Maps against those of the neutral question, if there is one."""


@dataclass(frozen=True)
class Parting:
    """Where a variant's answer parts from that of `Pair.a`; `index` as `Choice.token`."""

    variant: str
    index: int
    told: str


@dataclass(frozen=True)
class Chance:
    """How sure a variant was of one chosen answer token; empty texts where it has no such token or it is not told."""

    variant: str
    colour: str
    text: str
    probability: str
    divergence: str
    """KL(variant || base) in nats."""
    runners_up: str


@dataclass(frozen=True)
class Place:
    """The chances at one place of the answer, variant by variant."""

    index: int
    chances: list[Chance]


@dataclass(frozen=True)
class Column:
    """The change of every layer and head from `Pair.a` to this variant. `missing` says why there is none."""

    variant: str
    colour: str
    chart: Sprite
    missing: str


@dataclass(frozen=True)
class Overlaid:
    """A map, or a difference of two, to lie over the picture; `label` names it, `told` says it in words."""

    label: str
    colour: str
    png: str
    told: str


@dataclass(frozen=True)
class Ranked:
    """One head of those that changed most."""

    layer: int
    head: int
    value: str
    times: str
    """How it lies to the noise floor; empty without one."""
    under: bool


@dataclass(frozen=True)
class NoiseRow:
    """One kind of noise for A and B: what it is, its median and largest over the heads, and how many rise above it."""

    kind: Noise
    told: str
    median: str
    largest: str
    above: str


@dataclass(frozen=True)
class FloorView:
    """The noise floor of this comparison; `missing` says why these tokens have none, or what is left out of it."""

    rows: list[NoiseRow]
    missing: str


@dataclass(frozen=True)
class SinkView:
    """Sinks of the maps shown: their cells as left, top, right, bottom in fractions of the picture, and sentences."""

    question: str
    cells: list[list[float]]
    told: str
    rule: str
    relative: str
    """How relative maps are reckoned."""


@dataclass(frozen=True)
class InBox:
    """What one variant gives the box at the chosen layer and head, in words, and every head's share in it.

    `share`: of all the attention; `within`: of what is on the picture. Empty texts where the head was not kept.
    """

    variant: str
    colour: str
    share: str
    within: str
    lift: str
    hit: str
    chart: Sprite


@dataclass(frozen=True)
class BoxView:
    """Agreement of the maps with a box, which is no proof of use."""

    box: list[float]
    """Cut to the picture, in pixels of the picture as it arrived."""
    inset: list[float]
    """Left, top, right, bottom in fractions of the picture."""
    variants: list[InBox]
    scale: Scale


@dataclass(frozen=True)
class Change:
    """All that the Compare room shows for one choice in one session."""

    session: str
    pair: Pair
    variants: list[str]
    words: str
    """Which words the variants said: each its own, or the same."""
    same_words: bool
    partings: list[Parting]
    missing: str
    """Why `b` cannot be compared with `a` here; empty if it can."""
    chances: list[Place]
    measure_name: str
    formula: str
    columns: list[Column]
    chart_scale: Scale
    cell: list[Overlaid]
    """The map of `a`, that of `b` and their difference; empty if there is no map."""
    rows: int
    cols: int
    map_scale: Scale
    difference_scale: Scale
    cell_told: str
    """What the change of the chosen layer and head is in numbers, or why there is no map."""
    ranked: list[Ranked]
    ranked_maps: Sprite
    """Differences of the maps of `ranked`, in their order."""
    ranked_scale: Scale
    agreement: list[str]
    """A sentence for each two columns: how alike the order of their heads is."""
    box: BoxView | None
    floor: FloorView | None
    """None while no noise floor was measured."""
    sinks: SinkView | None
    """None while no neutral question was asked."""
