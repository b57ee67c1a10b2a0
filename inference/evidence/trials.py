"""What the model is asked once more: the same words under changes that are made on purpose, and what then came out.

A *trial* is one forward pass over a prompt and given words, with one thing changed. Frozen plain data that crosses
from process to process; how a trial is run is `inference.model`'s affair, what it means is this room's.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from inference.trace.metrics import Box
from inference.trace.request import BASE, Request, Variant

Watchers = Literal["all", "text", "answer"]
"""Who may not look: every token outside the cells; those behind the picture alone; those that predict the answer."""
Fill = Literal["surroundings", "mean", "blur"]
Kind = Literal["q", "k", "v", "o", "mlp", "vision"]
KINDS: tuple[Kind, ...] = ("q", "k", "v", "o", "mlp", "vision")
"""Kinds of modules that an adapter touches; `vision` is all of the vision tower, `mlp` gate, up and down."""
KIND_OF_MODULE: dict[str, Kind] = {
    "q_proj": "q",
    "k_proj": "k",
    "v_proj": "v",
    "o_proj": "o",
    "gate_proj": "mlp",
    "up_proj": "mlp",
    "down_proj": "mlp",
}
"""Of the text layers."""
Component = Literal["attention", "mlp", "pictures"]


@dataclass(frozen=True)
class Block:
    """Attention to cells of a picture cut off by the mask, before softmax; the cells may look at one another.

    cells: numbers of vision tokens within the picture, row by row. heads: (layer, head) pairs that may not look; None:
    no head of any layer.
    """

    cells: tuple[int, ...]
    image: int = 0
    who: Watchers = "all"
    heads: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True)
class Erase:
    """A box of a picture painted over before the model sees it; in pixels of the picture as it arrived.

    `surroundings`: the mean colour of a border round the box; `mean`: that of the whole picture; `blur`: the picture
    blurred until nothing smaller than the box is left in it.
    """

    box: Box
    image: int = 0
    fill: Fill = "surroundings"


@dataclass(frozen=True)
class Switch:
    """The variant's adapters on in some of their modules alone.

    The modules meant are those of the kinds and, for text layers, of the layers named; None: all. `vision` modules are
    meant where `layers` is None. keep True: these alone are on; False: these alone are off.
    """

    layers: tuple[int, ...] | None = None
    kinds: tuple[Kind, ...] | None = None
    keep: bool = False


@dataclass(frozen=True)
class Piece:
    """What is added to the residual stream at one place.

    `attention` of a layer, or one head's part of it after o_proj; `mlp` of a layer; `pictures`: the features of the
    pictures and what DeepStack adds to the layers, together, with `layer` None.
    """

    component: Component
    layer: int | None = None
    head: int | None = None


@dataclass(frozen=True)
class Exchange:
    """These pieces taken from the run of another variant over the same words."""

    donor: Variant
    pieces: tuple[Piece, ...]


Change = Block | Erase | Switch | Exchange


@dataclass(frozen=True)
class Watch:
    """A map to be kept: where the query at position `row_at` looks in a picture; None: the mean over all of them."""

    row_at: int
    layer: int | None = None
    head: int | None = None
    image: int = 0


@dataclass(frozen=True)
class Trial:
    """One variant over these words with one change, or none. `said`: token ids behind the prompt, at least one."""

    said: tuple[int, ...]
    variant: Variant = BASE
    change: Change | None = None


@dataclass(frozen=True)
class Reason:
    """Why a head moved: which of the adapter's parts turned one row of `variant` away from the base's.

    The row of the query at `row_at` in one head over the keys up to itself.
    """

    said: tuple[int, ...]
    variant: Variant
    row_at: int
    layer: int
    head: int


@dataclass(frozen=True)
class Probe:
    """Trials and reasons for one question; of `request` the question, pictures, prompt and their sizes count."""

    request: Request
    trials: tuple[Trial, ...] = ()
    reasons: tuple[Reason, ...] = ()
    watch: Watch | None = None
    """Kept for every trial; None: no map."""


@dataclass(frozen=True)
class Outcome:
    """What one trial gave. `logprobs`: of each of its words, in nats; `map`: shares of all attention, if watched."""

    logprobs: tuple[float, ...]
    map: Float[np.ndarray, "rows cols"] | None = None

    @property
    def total(self) -> float:
        """Log-probability of all the words, in nats."""
        return sum(self.logprobs)


@dataclass(frozen=True)
class Shares:
    """What turned a row: parts of the way from the base's row to the variant's, which add up to 1 with `rest`.

    A part is how far its exchange alone goes along the straight line between the two rows (projection over the line's
    squared length). `query`, `key`: the adapter's own change of that projection in this layer, on the base's inputs;
    `inputs`: what earlier layers changed, through the base's projections. `moved`: total variation between the two
    rows; at less than 1e-6 the parts are 0 and mean nothing.
    """

    query: float
    key: float
    inputs: float
    rest: float
    moved: float


@dataclass(frozen=True)
class Findings:
    """Outcomes and shares in the order of the probe's trials and reasons; `passes`: runs through the text layers."""

    outcomes: tuple[Outcome, ...]
    shares: tuple[Shares, ...]
    passes: int
    seconds: float
    notes: tuple[str, ...] = ()
