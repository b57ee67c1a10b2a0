"""An adapter's files opened for their numbers: checked once, then its factors, one module at a time.

What it may hold and where that belongs, `catalog` and `placement` say, as they do for the engine. Knows no model but,
where it is given, the base's files.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from inference.catalog import WEIGHTS_FILE, AdapterFiles, read_adapter, read_files
from inference.errors import AdapterError
from inference.placement import KEY, PREFIX, Fit, place_adapter, refuse
from inference.protocol import AdapterFacts
from inference.tensors import Entry, Shape, UnusableError, read_blocks, read_header, read_tensor
from inference.weights.base import BaseWeights
from inference.weights.factors import Factors
from inference.weights.places import Place, order, place_of

# Beyond it a number is infinite in the float32 in which adapters are run.
_LARGEST = float(np.finfo(np.float32).max)

Extra = Literal["magnitudes", "biases"]

_MODULE = re.compile(r"[A-Za-z0-9_.]{1,300}")


@dataclass(frozen=True)
class OpenAdapter:
    """An adapter without faults; `modules` is each place's full name, in the order of the model.

    `extras`: what besides the factors can change the model, the magnitudes of DoRA and biases that are not all zero.
    """

    facts: AdapterFacts
    modules: Mapping[Place, str]
    extras: tuple[Extra, ...]
    renamed: str
    """What was renamed, as a sentence; empty if nothing was."""

    base: BaseWeights | None

    _entries: Mapping[str, Entry]
    _scalings: Mapping[str, float]

    def factors(self, place: Place) -> Factors:
        """The two factors of a module and what their product is multiplied by: alpha / r, alpha / sqrt(r) in rsLoRA.

        Raises:
            AdapterError: the file has changed since.
        """
        module = self.modules[place]
        try:
            up, down = (read_tensor(self._entries[f"{PREFIX}{module}.lora_{side}.weight"]) for side in "BA")
        except UnusableError as error:
            raise _damaged(self.facts.name, error) from error
        return Factors(up, down, self._scalings[module])


def open_adapter(folder: Path, base: BaseWeights | None = None, *, name: str = "") -> OpenAdapter:
    """The adapter of this folder; with a base, placed among its weights as the engine would.

    `name` stands in all that is told of it; left out: the folder's.

    Raises:
        AdapterError: it has a fault, does not fit the base, or holds NaN, infinity or numbers beyond float32.
    """
    facts = read_adapter(folder)
    facts = replace(facts, name=name or facts.name)
    if facts.problems:
        raise AdapterError("an adapter without faults", f"{facts.name}: {facts.problems[0]}", "choose another one")
    try:
        files, entries = read_files(folder), read_header(folder / WEIGHTS_FILE)
        files = replace(files, shapes={key: entry.shape for key, entry in entries.items()})
        fit = place_adapter(facts.name, files, base.linears if base else _implied(facts.name, files))
        extras = _check_numbers(facts.name, entries)
    except (OSError, UnusableError) as error:
        raise _damaged(facts.name, error) from error
    placed = {fit.keys[key]: entry for key, entry in entries.items()}
    return OpenAdapter(facts, _modules(facts.name, fit), extras, fit.renamed, base, placed, _scalings(files, fit))


def _implied(name: str, files: AdapterFiles) -> dict[str, Shape]:
    """The linear layers that there must be for this adapter to fit: shape (out, in) by name, 0 where it is not told."""
    sides: dict[str, dict[str, int]] = {}
    strange = []
    for key, shape in files.shapes.items():
        match = KEY.fullmatch(key.removeprefix(PREFIX))
        if match is None or not _MODULE.fullmatch(match["module"]) or not all(shape):
            strange.append(key[:120])
        elif match["leaf"] == ".weight" and len(shape) == 2:
            sides.setdefault(match["module"], {})[match["part"]] = shape[0 if match["part"] == "lora_B" else 1]
    refuse(name, "changes other things than linear layers:", strange, "choose a LoRA of linear layers")
    return {module: (told.get("lora_B", 0), told.get("lora_A", 0)) for module, told in sides.items()}


def _modules(name: str, fit: Fit) -> dict[Place, str]:
    places: dict[Place, str] = {}
    for module in fit.ranks:
        refuse(name, "has two modules for the place of", [module] * (place_of(module) in places), "save it again")
        places[place_of(module)] = module
    return {place: places[place] for place in sorted(places, key=order)}


def _check_numbers(name: str, entries: Mapping[str, Entry]) -> tuple[Extra, ...]:
    """What it has besides its factors, once every number of the file has been looked at."""
    broken, extras = [], set[Extra]()
    for key, entry in entries.items():
        largest = [float(np.abs(block).max()) for block in read_blocks(entry)]
        if not all(value <= _LARGEST for value in largest):
            broken.append(key)
        match = KEY.fullmatch(key)
        if match and match["part"] == "lora_magnitude_vector":
            extras.add("magnitudes")
        elif match and match["leaf"] == ".bias" and any(largest):
            extras.add("biases")
    refuse(name, "has numbers that are not finite in float32 in", broken, "train or save it again")
    return tuple(sorted(extras, reverse=True))


def _scalings(files: AdapterFiles, fit: Fit) -> dict[str, float]:
    stabilised = bool(files.config.get("use_rslora"))
    return {
        module: fit.alphas[module] / (math.sqrt(rank) if stabilised else rank) for module, rank in fit.ranks.items()
    }


def _damaged(name: str, error: Exception) -> AdapterError:
    why = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
    return AdapterError("readable weights", f"{name}: {why}", "save the adapter again")
