"""Whether an adapter's weights fit a model, whole: each in its place, and all there that the config asks for.

Compares names and shapes; loads nothing and changes nothing.
"""

import time
from collections.abc import Mapping
from typing import Any

from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists

from inference.catalog import AdapterFiles
from inference.errors import AdapterError
from inference.placement import Fit, old_names, place_adapter, refuse
from inference.tensors import Shape

_MATCHING_S = 1.0


def fit_adapter(name: str, files: AdapterFiles, linears: Mapping[str, Shape]) -> Fit:
    """The adapter's place on a model whose linear layers have these names and (out, in) shapes.

    Raises:
        AdapterError: something does not fit; the message names a few of the keys.
    """
    fit = place_adapter(name, files, linears)
    _check_whole(name, files.config, set(fit.ranks), linears, renamed=bool(fit.renamed))
    return fit


def _check_whole(
    name: str, config: Mapping[str, Any], found: set[str], linears: Mapping[str, Shape], *, renamed: bool
) -> None:
    """Every module that the config asks for has its weights, and no other has."""
    asked = _asked_modules(name, config, found, linears, renamed=renamed)
    refuse(name, "lacks the weights of", sorted(asked - found), "save the adapter again")
    refuse(name, "has weights that its config does not ask for:", sorted(found - asked), "save the adapter again")


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
        spellings = old_names(module) if renamed else [module]
        if any(check_target_module_exists(lora, spelling) for spelling in spellings):
            asked.add(module)
        if time.monotonic() > deadline:
            raise AdapterError(
                "a pattern for modules that is quick to match",
                f"one in {name} that takes longer than {_MATCHING_S:g} s",
                "list the modules instead",
            )
    return asked
