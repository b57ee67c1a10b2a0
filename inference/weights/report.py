"""What an adapter changes in each module it touches, in numbers: the answer of this room to one adapter.

All of the whole change, scaling * B A, at the strength it was trained with. Plain data; words are in `summary`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from inference.protocol import AdapterFacts
from inference.weights import factors
from inference.weights.adapter import Extra, OpenAdapter
from inference.weights.places import Place

_NOTES: dict[Extra, str] = {
    "magnitudes": "It is a DoRA, which also sets the length of each row of the weight; the figures are of its low-rank "
    "part, scaling x B A, alone.",
    "biases": "It also adds biases (lora_bias); the figures are of the weights alone.",
}


@dataclass(frozen=True)
class Change:
    """What an adapter adds to one weight of shape (outputs, inputs); `singular_values` are all, largest first."""

    place: Place
    outputs: int
    inputs: int
    rank: int
    scaling: float
    singular_values: tuple[float, ...]
    base_norm: float | None = None
    """Frobenius norm of the base's weight; None where no base was given."""

    @property
    def frobenius(self) -> float:
        """Root of the sum of the squares of all that is added."""
        return factors.frobenius(self._values)

    @property
    def spectral(self) -> float:
        """Most that the change can add to an input of length 1: the largest singular value."""
        return max(self.singular_values, default=0.0)

    @property
    def ratio(self) -> float | None:
        """Frobenius norm of the change over that of the base's weight; None without a base, or where that is zero."""
        return self.frobenius / self.base_norm if self.base_norm else None

    @property
    def effective_rank(self) -> float:
        """How many directions carry the change: exp of the entropy of their shares; 0 if it is zero."""
        return factors.effective_rank(self._values)

    @property
    def stable_rank(self) -> float:
        """Squared Frobenius norm over squared spectral norm; 0 if the change is zero."""
        return factors.stable_rank(self._values)

    @property
    def _values(self) -> Float[np.ndarray, "values"]:
        return np.asarray(self.singular_values, np.float64)


@dataclass(frozen=True)
class AdapterWeights:
    """All changes of one adapter, in the order of the model; `notes` are sentences on what the figures leave out."""

    facts: AdapterFacts
    changes: tuple[Change, ...]
    extras: tuple[Extra, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def norm(self) -> float:
        """Frobenius norm of all changes together."""
        return math.hypot(*(change.frobenius for change in self.changes))

    def shares(self, of: Callable[[Place], str]) -> dict[str, float]:
        """Share of the squared norm by kind of module (`Place.kind`), layer or whatever `of` tells; 0 of nothing.

        They sum to one unless nothing is changed, and stand in the order of the model.
        """
        told = dict.fromkeys((of(change.place) for change in self.changes), 0.0)
        for change in self.changes if self.norm else ():
            told[of(change.place)] += (change.frobenius / self.norm) ** 2
        return told


def weigh_adapter(opened: OpenAdapter) -> AdapterWeights:
    """What the adapter changes; if it was opened with the base's weights, also in relation to them.

    Raises:
        AdapterError: its file has changed since it was opened.
        ModelError: a weight of the base cannot be measured.
    """
    changes = tuple(_weigh(opened, place) for place in opened.modules)
    notes = (opened.renamed, *(_NOTES[extra] for extra in opened.extras))
    return AdapterWeights(opened.facts, changes, opened.extras, tuple(filter(None, notes)))


def _weigh(opened: OpenAdapter, place: Place) -> Change:
    held = opened.factors(place)
    return Change(
        place=place,
        outputs=held.up.shape[0],
        inputs=held.down.shape[1],
        rank=held.up.shape[1],
        scaling=held.scaling,
        singular_values=tuple(map(float, factors.singular_values(held))),
        base_norm=opened.base.norm(opened.modules[place]) if opened.base else None,
    )
