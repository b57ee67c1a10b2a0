"""What an adapter's weights say, in sentences for people: where most of the change lies, and what it cannot move.

Shares are of the squared Frobenius norm, which adds up over modules. Knows no page.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from inference.weights.overlap import AdapterOverlap, Angles
from inference.weights.places import BEHIND, Place
from inference.weights.report import AdapterWeights, Change

_HEAD = "lm_head"
_NAMED, _MOST = 4, 0.5 - 1e-9

OVERLAP_NOTE = (
    "What an adapter reads stays near the random start of its A: adapters trained from one seed read alike, whatever "
    "they learned."
)
"""Measured on the miniature: where two A began alike, their numbers still correlate by 0.65 to 0.83 after training, and
the spaces read are alike by 0.70 to 0.77; where they did not, by 0.17 to 0.19."""


def weights_summary(weights: AdapterWeights) -> str:
    """Which modules and layers carry most of the change, and what of the attention it cannot have moved."""
    name = weights.facts.name
    if not weights.norm:
        return f"{name} {_nothing(weights)}"
    kinds = _leaders(weights.shares(lambda place: place.kind), "kinds of module")
    levels = _leaders(weights.shares(lambda place: place.level), "layers")
    sentences = [f"{name}: its change is {kinds}; by layer, {levels}.", _zeros(weights.changes)]
    return " ".join(filter(None, [*sentences, *_attention(weights)]))


def first_layer_moved(weights: AdapterWeights) -> int | None:
    """The first text layer whose attention can differ from the base's over the same words; None if none can.

    v, o and mlp of a layer reach the attention of the next one; a changed vision tower or word embedding that of all.
    """
    layers = [_moved_from(change.place) for change in _changed(weights)]
    return min((layer for layer in layers if layer is not None), default=None)


def overlap_summary(overlap: AdapterOverlap) -> str:
    """How alike two adapters are in what they write and read, beside what chance gives, on the mean of all modules."""
    names = f"{overlap.first} and {overlap.second}"
    note = f" {overlap.note}" if overlap.note else ""
    if not overlap.overlaps:
        return f"{names} change no module in common.{note}"
    told = [one for one in overlap.overlaps if one.outputs.cosines]
    if not told:
        return f"{names} cannot be compared: in each of their common modules one of them changes nothing.{note}"
    write, read = (_alike([getattr(one, side) for one in told]) for side in ("outputs", "inputs"))
    aligned = round(float(np.mean([one.alignment for one in told])), 2)
    closest = max(told, key=lambda one: (one.outputs.similarity or 0) + (one.inputs.similarity or 0)).place
    return (
        f"{names}, {_counted(len(told))} in common: mean squared cosine between the spaces they write {write}, between "
        f"those they read {read}; closest in {closest.kind} of {closest.level}. The changes themselves point alike by "
        f"{aligned + 0:.2f} (1 the same, 0 unrelated, -1 opposed).{note}"
    )


def _alike(angles: Sequence[Angles]) -> str:
    similarity = float(np.mean([one.similarity for one in angles if one.similarity is not None]))
    return f"{similarity:.2f} (chance {float(np.mean([one.chance for one in angles])):.2f})"


def _nothing(weights: AdapterWeights) -> str:
    if weights.extras:
        return (
            f"has a low-rank part that is zero in each of {_counted(len(weights.changes))}: what it changes, it "
            f"changes by its {' and '.join(weights.extras)} alone, which these figures leave out."
        )
    return (
        f"CHANGES NOTHING: scaling x B A is zero in each of {_counted(len(weights.changes))} touched; it was saved "
        "untrained, or its training did not reach it."
    )


def _leaders(shares: Mapping[str, float], many: str) -> str:
    """The fewest that together hold half, each with its share; of a wide spread only the largest."""
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    taken = 1 + int(np.searchsorted(np.cumsum([share for _, share in ranked]), _MOST))
    if taken > _NAMED:
        return f"spread over {len(ranked)} {many}, the largest share in {_with_share(*ranked[0])}"
    return f"mostly in {_listed([_with_share(*item) for item in ranked[:taken]])}"


def _with_share(name: str, share: float) -> str:
    return f"{name} ({100 * share:.0f} %)"


def _zeros(changes: Sequence[Change]) -> str:
    zeros = [change.place for change in changes if not change.frobenius]
    if not zeros:
        return ""
    return f"B A is zero in {len(zeros)} of {_counted(len(changes))}, such as {zeros[0].kind} of {zeros[0].level}."


def _attention(weights: AdapterWeights) -> list[str]:
    changed = _changed(weights)
    if all(change.place.tower == "vision" for change in changed):
        return [
            "It touches the vision tower alone: the text layers are the base's and are given other picture features."
        ]
    sentences = []
    if all(_is_behind(change.place) for change in changed):
        kinds = _listed(list(dict.fromkeys(change.place.module for change in changed)))
        sentences.append(f"It touches only {kinds}: its first effect is not in the attention of that layer.")
    first = first_layer_moved(weights)
    if first is None:
        sentences.append("Over the same words it moves no attention at all.")
    elif first > 0:
        sentences.append(f"Over the same words, attention before layer {first} is the base's.")
    return sentences


def _changed(weights: AdapterWeights) -> list[Change]:
    """The changes that are not zero; all of them where something besides the factors may change the module."""
    return [change for change in weights.changes if change.frobenius or weights.extras]


def _is_behind(place: Place) -> bool:
    return place.tower == "text" and place.module in (*BEHIND, _HEAD)


def _moved_from(place: Place) -> int | None:
    if place.tower == "vision":
        return 0
    if place.layer is None:
        return None if place.module == _HEAD else 0
    return place.layer + 1 if place.module in BEHIND else place.layer


def _counted(modules: int) -> str:
    return f"{modules} module{'s' * (modules != 1)}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
