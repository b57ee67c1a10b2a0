"""The figures of several adapters as grids of layers and modules, as rows for a spreadsheet, and as plain values.

Adapters side by side share their axes, so that a row and a column mean the same in all. Knows no page.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from inference.errors import SettingsError
from inference.trace.summary import summarise_adapter
from inference.weights.overlap import AdapterOverlap, Angles, Overlap
from inference.weights.places import Tower, module_order
from inference.weights.report import AdapterWeights, Change
from inference.weights.summary import OVERLAP_NOTE, overlap_summary, weights_summary

Measure = Literal["frobenius", "spectral", "ratio", "effective_rank", "stable_rank"]

MEASURES: dict[Measure, tuple[str, str]] = {
    "frobenius": ("Frobenius norm", "size of all that the adapter adds to that weight, scaling x B A"),
    "spectral": ("spectral norm", "most that the adapter adds to an input of length 1"),
    "ratio": ("share of the base's norm", "Frobenius norm of what the adapter adds over that of the base's weight"),
    "effective_rank": ("effective rank", "how many directions carry what the adapter adds"),
    "stable_rank": ("stable rank", "squared Frobenius norm over squared spectral norm of what the adapter adds"),
}
"""Each with its name and what a cell means."""

COLUMNS = (
    *("adapter", "tower", "layer", "module", "outputs", "inputs", "rank", "scaling", "frobenius", "spectral"),
    *("base_frobenius", "ratio", "effective_rank", "stable_rank", "share", "singular_values"),
)


@dataclass(frozen=True, eq=False)
class Grid:
    """One measure of several adapters in one tower; a layer of None stands for modules outside of all layers."""

    layers: tuple[int | None, ...]
    modules: tuple[str, ...]
    values: Float[np.ndarray, "adapters layers modules"]
    """NaN where an adapter does not touch a module, or a ratio has no base."""


def weight_grid(adapters: Sequence[AdapterWeights], measure: Measure, tower: Tower = "text") -> Grid:
    """The measure of every adapter over all layers up to the last one touched, and all modules touched by any.

    Empty axes if no adapter touches the tower.

    Raises:
        SettingsError: no such measure.
    """
    if measure not in MEASURES:
        raise SettingsError(f"one of {', '.join(MEASURES)}", repr(measure), "choose a measure from the list")
    touched = [[change for change in one.changes if change.place.tower == tower] for one in adapters]
    places = [change.place for changes in touched for change in changes]
    numbers = [place.layer for place in places if place.layer is not None]
    outside: list[int | None] = [None] if len(numbers) < len(places) else []
    layers = (*range(max(numbers, default=-1) + 1), *outside)
    modules = tuple(sorted({place.module for place in places}, key=module_order))
    values = np.full((len(adapters), len(layers), len(modules)), np.nan)
    for index, changes in enumerate(touched):
        for change in changes:
            told = getattr(change, measure)
            at = layers.index(change.place.layer), modules.index(change.place.module)
            values[index, *at] = np.nan if told is None else told
    return Grid(layers, modules, values)


def weights_csv(adapters: Sequence[AdapterWeights]) -> str:
    """One line for each module of each adapter under `COLUMNS`; what is not known is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for adapter in adapters:
        for change in adapter.changes:
            row = _row(adapter, change)
            values = " ".join(f"{value:.6g}" for value in change.singular_values)
            writer.writerow(row | {"adapter": _harmless(adapter.facts.name), "singular_values": values})
    return text.getvalue()


def weights_values(adapters: Sequence[AdapterWeights], overlaps: Sequence[AdapterOverlap] = ()) -> dict[str, Any]:
    """All figures and sentences as values that go into JSON as they are."""
    return {
        "adapters": [_adapter(adapter) for adapter in adapters],
        "overlaps": [_pair(overlap) for overlap in overlaps],
        "overlap_note": OVERLAP_NOTE if overlaps else "",
    }


def _adapter(weights: AdapterWeights) -> dict[str, Any]:
    return {
        "adapter": summarise_adapter(weights.facts),
        "summary": weights_summary(weights),
        "notes": list(weights.notes),
        "frobenius": weights.norm,
        "share_by_module": weights.shares(lambda place: place.kind),
        "share_by_layer": weights.shares(lambda place: place.level),
        "changes": [
            {name: value for name, value in _row(weights, change).items() if name != "adapter"}
            for change in weights.changes
        ],
    }


def _row(weights: AdapterWeights, change: Change) -> dict[str, Any]:
    return {
        "adapter": weights.facts.name,
        **asdict(change.place),
        "outputs": change.outputs,
        "inputs": change.inputs,
        "rank": change.rank,
        "scaling": change.scaling,
        "frobenius": change.frobenius,
        "spectral": change.spectral,
        "base_frobenius": change.base_norm,
        "ratio": change.ratio,
        "effective_rank": change.effective_rank,
        "stable_rank": change.stable_rank,
        "share": (change.frobenius / weights.norm) ** 2 if weights.norm else 0.0,
        "singular_values": list(change.singular_values),
    }


def _pair(overlap: AdapterOverlap) -> dict[str, Any]:
    return {
        "first": overlap.first,
        "second": overlap.second,
        "summary": overlap_summary(overlap),
        "modules": [_overlap(one) for one in overlap.overlaps],
    }


def _overlap(one: Overlap) -> dict[str, Any]:
    return {
        **asdict(one.place),
        "outputs": _angles(one.outputs),
        "inputs": _angles(one.inputs),
        "alignment": one.alignment,
    }


def _angles(angles: Angles) -> dict[str, Any]:
    return {"cosines": list(angles.cosines), "similarity": angles.similarity, "chance": angles.chance}


def _harmless(name: str) -> str:
    """The name with an apostrophe before a sign by which a spreadsheet would take it for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t")) else name
