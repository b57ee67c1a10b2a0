"""Where an adapter's weights belong: every key a place, every pair whole and of the right shape, every rank as told.

Compares names and shapes; reads no weight. Knows no torch and no peft: the linear layers are named by whoever has a
model, or its files.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.catalog import AdapterFiles
from inference.errors import AdapterError
from inference.tensors import Shape

PREFIX = "base_model.model."
KEY = re.compile(r"(?P<module>.+)\.(?P<part>lora_A|lora_B|lora_magnitude_vector)(?P<leaf>\.weight|\.bias|)")

# Names that models had before pictures and text shared one model, and what they are called now.
_RENAMED = (("model.layers.", "model.language_model.layers."), ("visual.", "model.visual."))
_NAMED = 3


@dataclass(frozen=True)
class Fit:
    """How the adapter lands on the model: new key by old one, rank and alpha of each module touched."""

    keys: dict[str, str]
    ranks: dict[str, int]
    alphas: dict[str, float]
    renamed: str
    """What was renamed, as a sentence; empty if nothing was."""


def place_adapter(name: str, files: AdapterFiles, linears: Mapping[str, Shape]) -> Fit:
    """The adapter's place among linear layers of these names and (out, in) shapes.

    Whether all that its config asks for is there, `inference.model.fit` says.

    Raises:
        AdapterError: something does not fit; the message names a few of the keys.
    """
    keys = {key: _placed(key.removeprefix(PREFIX), linears) for key in files.shapes}
    _check_places(name, keys, linears)
    ranks = _check_shapes(name, files.shapes, keys, linears)
    _check_ranks(name, files.config, ranks)
    alphas = {module: float(_by_pattern(files.config, "alpha_pattern", module, "lora_alpha")) for module in ranks}
    renamed = any(new != key.removeprefix(PREFIX) for key, new in keys.items())
    return Fit({key: PREFIX + new for key, new in keys.items()}, ranks, alphas, _rename_note(name) if renamed else "")


def old_names(module: str) -> list[str]:
    """The module's name and those that it had before."""
    return [module, *(old + module.removeprefix(new) for old, new in _RENAMED if module.startswith(new))]


def refuse(name: str, what: str, keys: Sequence[str], remedy: str) -> None:
    """Raises an AdapterError that names the first few keys; nothing if there are none."""
    if keys:
        shown = ", ".join(keys[:_NAMED]) + (f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else "")
        raise AdapterError("an adapter whose weights all fit", f"{name}, which {what} {shown}", remedy)


def _rename_note(name: str) -> str:
    return (
        f"{name}: its keys are named as in a model without pictures (model.layers); they were mapped to "
        "model.language_model.layers."
    )


def _placed(key: str, linears: Mapping[str, Shape]) -> str:
    """The key under its present name, if it has a place only there."""
    match = KEY.fullmatch(key)
    if match is None or match["module"] in linears:
        return key
    for old, new in _RENAMED:
        if key.startswith(old) and new + match["module"].removeprefix(old) in linears:
            return new + key.removeprefix(old)
    return key


def _check_places(name: str, keys: Mapping[str, str], linears: Mapping[str, Shape]) -> None:
    lost = []
    for key, new in keys.items():
        match = KEY.fullmatch(new)
        if match is None or match["module"] not in linears:
            lost.append(key)
    refuse(name, "has no place in this model for", lost, "choose an adapter that was trained on this model")
    places = Counter(keys.values())
    refuse(name, "names twice the place of", [key for key in keys if places[keys[key]] > 1], "save the adapter again")


def _check_shapes(
    name: str, shapes: Mapping[str, Shape], keys: Mapping[str, str], linears: Mapping[str, Shape]
) -> dict[str, int]:
    """The rank of each module, once all its shapes are right."""
    by_place = {new: shapes[key] for key, new in keys.items()}
    ranks: dict[str, int] = {}
    wrong, lonely = [], []
    for key, shape in by_place.items():
        match = KEY.fullmatch(key)
        assert match is not None  # _check_places has seen every key
        out_features, in_features = linears[match["module"]]
        rank = (by_place.get(f"{match['module']}.lora_A.weight") or (0,))[0]
        right = {
            "lora_A.weight": (rank, in_features),
            "lora_B.weight": (out_features, rank),
            "lora_B.bias": (out_features,),
        }.get(match["part"] + match["leaf"], (out_features,))
        if shape != right:
            wrong.append(f"{key} ({' x '.join(map(str, shape))} for {' x '.join(map(str, right))})")
        pair = (f"{match['module']}.lora_A.weight", f"{match['module']}.lora_B.weight")
        lonely += [key for other in pair if other not in by_place]
        ranks[match["module"]] = rank
    refuse(name, "lacks the other half of", lonely, "save the adapter again")
    refuse(name, "is made for layers of other sizes:", wrong, "choose an adapter that was trained on this model")
    return ranks


def _check_ranks(name: str, config: Mapping[str, Any], ranks: Mapping[str, int]) -> None:
    wrong = [
        f"{module} (rank {rank} for {asked})"
        for module, rank in ranks.items()
        if (asked := _by_pattern(config, "rank_pattern", module, "r")) != rank
    ]
    refuse(name, "has another rank than its config says in", wrong, "save the adapter again")


def _by_pattern(config: Mapping[str, Any], patterns: str, module: str, default: str) -> Any:
    """What the first pattern says that ends the module's name, or what the config says of all others.

    Source: `get_pattern_key` of peft/utils/other.py.
    """
    known: Mapping[str, Any] = config.get(patterns) or {}
    for spelling in old_names(module):
        for pattern, value in known.items():
            if re.match(rf"(.*\.)?({pattern})$", spelling):
                return value
    return config[default]
