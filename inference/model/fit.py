"""Whether an adapter's weights fit a model, whole: every key a place, every place its key, every shape right.

Compares names and shapes; loads nothing and changes nothing.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key

from inference.catalog import AdapterFiles
from inference.errors import AdapterError

Shape = tuple[int, ...]

_PREFIX = "base_model.model."
_KEY = re.compile(r"(?P<module>.+)\.(?P<part>lora_A|lora_B|lora_magnitude_vector)(?P<leaf>\.weight|\.bias|)")
# Names that models had before pictures and text shared one model, and what they are called now.
_RENAMED = (("model.layers.", "model.language_model.layers."), ("visual.", "model.visual."))
_MATCHING_S = 1.0
_NAMED = 3


@dataclass(frozen=True)
class Fit:
    """How the adapter lands on the model: new key by old one, rank and alpha of each module touched."""

    keys: dict[str, str]
    ranks: dict[str, int]
    alphas: dict[str, float]
    renamed: str
    """What was renamed, as a sentence; empty if nothing was."""


def fit_adapter(name: str, files: AdapterFiles, linears: Mapping[str, Shape]) -> Fit:
    """The adapter's place on a model whose linear layers have these names and (out, in) shapes.

    Raises:
        AdapterError: something does not fit; the message names a few of the keys.
    """
    keys = {key: _placed(key.removeprefix(_PREFIX), linears) for key in files.shapes}
    _check_places(name, keys, linears)
    ranks = _check_shapes(name, files.shapes, keys, linears)
    renamed = any(new != key.removeprefix(_PREFIX) for key, new in keys.items())
    _check_whole(name, files.config, set(ranks), linears, renamed=renamed)
    _check_ranks(name, files.config, ranks)
    alphas = {module: float(_by_pattern(files.config, "alpha_pattern", module, "lora_alpha")) for module in ranks}
    return Fit({key: _PREFIX + new for key, new in keys.items()}, ranks, alphas, _rename_note(name) if renamed else "")


def _rename_note(name: str) -> str:
    return (
        f"{name}: its keys are named as in a model without pictures (model.layers); they were mapped to "
        "model.language_model.layers."
    )


def _placed(key: str, linears: Mapping[str, Shape]) -> str:
    """The key under its present name, if it has a place only there."""
    match = _KEY.fullmatch(key)
    if match is None or match["module"] in linears:
        return key
    for old, new in _RENAMED:
        if key.startswith(old) and new + match["module"].removeprefix(old) in linears:
            return new + key.removeprefix(old)
    return key


def _old_names(module: str) -> list[str]:
    return [module, *(old + module.removeprefix(new) for old, new in _RENAMED if module.startswith(new))]


def _check_places(name: str, keys: Mapping[str, str], linears: Mapping[str, Shape]) -> None:
    lost = []
    for key, new in keys.items():
        match = _KEY.fullmatch(new)
        if match is None or match["module"] not in linears:
            lost.append(key)
    _refuse(name, "has no place in this model for", lost, "choose an adapter that was trained on this model")


def _check_shapes(
    name: str, shapes: Mapping[str, Shape], keys: Mapping[str, str], linears: Mapping[str, Shape]
) -> dict[str, int]:
    """The rank of each module, once all its shapes are right."""
    by_place = {new: shapes[key] for key, new in keys.items()}
    ranks: dict[str, int] = {}
    wrong, lonely = [], []
    for key, shape in by_place.items():
        match = _KEY.fullmatch(key)
        assert match is not None  # _check_places has seen every key
        out_features, in_features = linears[match["module"]]
        rank = by_place.get(f"{match['module']}.lora_A.weight", (0,))[0]
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
    _refuse(name, "lacks the other half of", lonely, "save the adapter again")
    _refuse(name, "is made for layers of other sizes:", wrong, "choose an adapter that was trained on this model")
    return ranks


def _check_whole(
    name: str, config: Mapping[str, Any], found: set[str], linears: Mapping[str, Shape], *, renamed: bool
) -> None:
    """Every module that the config asks for has its weights, and no other has."""
    asked = _asked_modules(name, config, found, linears, renamed=renamed)
    _refuse(name, "lacks the weights of", sorted(asked - found), "save the adapter again")
    _refuse(name, "has weights that its config does not ask for:", sorted(found - asked), "save the adapter again")


def _asked_modules(
    name: str, config: Mapping[str, Any], found: set[str], linears: Mapping[str, Shape], *, renamed: bool
) -> set[str]:
    if config["target_modules"] == "all-linear":
        return found
    try:
        return _matched(name, config, linears, renamed=renamed)
    except (ValueError, TypeError) as error:
        raise AdapterError("a config that names its modules", f"{error} in {name}", "save the adapter again") from error


def _matched(name: str, config: Mapping[str, Any], linears: Mapping[str, Shape], *, renamed: bool) -> set[str]:
    parts = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")
    lora = LoraConfig(**{part: config.get(part) for part in parts})
    asked, deadline = set(), time.monotonic() + _MATCHING_S
    for module in linears:
        spellings = _old_names(module) if renamed else [module]
        if any(check_target_module_exists(lora, spelling) for spelling in spellings):
            asked.add(module)
        if time.monotonic() > deadline:
            raise AdapterError(
                "a pattern for modules that is quick to match",
                f"one in {name} that takes longer than {_MATCHING_S:g} s",
                "list the modules instead",
            )
    return asked


def _check_ranks(name: str, config: Mapping[str, Any], ranks: Mapping[str, int]) -> None:
    wrong = [
        f"{module} (rank {rank} for {asked})"
        for module, rank in ranks.items()
        if (asked := _by_pattern(config, "rank_pattern", module, "r")) != rank
    ]
    _refuse(name, "has another rank than its config says in", wrong, "save the adapter again")


def _by_pattern(config: Mapping[str, Any], patterns: str, module: str, default: str) -> Any:
    known = config.get(patterns) or {}
    for spelling in _old_names(module):
        found = get_pattern_key(list(known), spelling)
        if found in known:
            return known[found]
    return config[default]


def _refuse(name: str, what: str, keys: Sequence[str], remedy: str) -> None:
    if keys:
        shown = ", ".join(keys[:_NAMED]) + (f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else "")
        raise AdapterError("an adapter whose weights all fit", f"{name}, which {what} {shown}", remedy)
