"""How alike two adapters of one base are in each module that both change: the angles between their spaces.

Two changes may use the same directions for different ends, and opposite ones: angles tell of the spaces alone, the
alignment of the changes themselves. Plain data; words are in `summary`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from inference.errors import AdapterError
from inference.weights import factors
from inference.weights.adapter import OpenAdapter
from inference.weights.places import Place


@dataclass(frozen=True)
class Angles:
    """Cosines of the principal angles between two spaces, largest first; none where a change is zero."""

    cosines: tuple[float, ...]
    chance: float
    """The mean squared cosine expected of two random spaces of these dimensions."""

    @property
    def similarity(self) -> float | None:
        """Mean squared cosine: 1 if the smaller space lies within the other, 0 at right angles; None without cosines.

        Source: Hu et al., LoRA, 2021, equation 4 (there: normalised subspace similarity).
        """
        return float(np.square(self.cosines).mean()) if self.cosines else None


@dataclass(frozen=True)
class Overlap:
    """Two changes of one weight: what they write (column spaces), what they read (row spaces), and their alignment."""

    place: Place
    outputs: Angles
    inputs: Angles
    alignment: float
    """Cosine between the two changes as long vectors, -1 to 1; 0 if one is zero."""


@dataclass(frozen=True)
class AdapterOverlap:
    """Two adapters by name, and every module that both change, in the order of the model."""

    first: str
    second: str
    overlaps: tuple[Overlap, ...]
    note: str = ""
    """That their configs name different bases, as a sentence."""


def compare_adapters(first: OpenAdapter, second: OpenAdapter) -> AdapterOverlap:
    """The overlap in every module that both touch; empty if there is none.

    Raises:
        AdapterError: their weights have other shapes, so that they are of different bases.
    """
    common = [place for place in first.modules if place in second.modules]
    bases = (first.facts.base, second.facts.base)
    note = "" if bases[0] == bases[1] else f"Their configs name different bases, {bases[0]!r} and {bases[1]!r}."
    overlaps = tuple(_compare(place, first, second) for place in common)
    return AdapterOverlap(first.facts.name, second.facts.name, overlaps, note)


def _compare(place: Place, first: OpenAdapter, second: OpenAdapter) -> Overlap:
    one, other = first.factors(place), second.factors(place)
    shapes = [(held.up.shape[0], held.down.shape[1]) for held in (one, other)]
    if shapes[0] != shapes[1]:
        told = [
            f"{name}'s of {' x '.join(map(str, shape))}"
            for name, shape in zip((first.facts.name, second.facts.name), shapes, strict=True)
        ]
        raise AdapterError(
            "two adapters of one base", f"{place.kind} in {place.level}: {' and '.join(told)}", "compare others"
        )
    mine, yours = factors.spaces(one), factors.spaces(other)
    found, larger = factors.relate(mine, yours), max(mine.values.size, yours.values.size)
    outputs, inputs = shapes[0]
    return Overlap(
        place, _angles(found.outputs, larger / outputs), _angles(found.inputs, larger / inputs), found.alignment
    )


def _angles(cosines: Float[np.ndarray, "angles"], chance: float) -> Angles:
    return Angles(tuple(map(float, cosines)), chance)
