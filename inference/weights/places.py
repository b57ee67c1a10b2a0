"""Where in a model an adapter's change lies: tower, layer and kind of module, read from the module's name.

Names differ from library version to library version; a place does not, so that two adapters can be compared by it.
"""

import re
from dataclasses import dataclass
from typing import Literal

Tower = Literal["text", "vision"]

QUERY_KEY = ("q_proj", "k_proj")
"""The modules that decide where a layer of the text tower looks."""

BEHIND = ("v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The modules of a text layer whose effect no attention sees before the next layer."""

_ORDER = (*QUERY_KEY, *BEHIND, "qkv", "proj", "linear_fc1", "linear_fc2")
_DEEPSTACK = "deepstack."
_VISION = re.compile(r"(?:^|\.)visual\.")
_NUMBERED = re.compile(r"(?:.*\.)?(?P<list>layers|blocks|deepstack_merger_list)\.(?P<number>\d{1,6})\.(?P<rest>.+)")
_GROUP = re.compile(r"^(?:self_attn|attn|mlp)\.")


@dataclass(frozen=True)
class Place:
    """One module: `q_proj` of text layer 3, `qkv` of vision block 0; the layer is None for modules outside of all."""

    tower: Tower
    layer: int | None
    module: str

    @property
    def kind(self) -> str:
        """The module's kind, told apart by tower: `q_proj`, `vision qkv`."""
        return self.module if self.tower == "text" else f"vision {self.module}"

    @property
    def level(self) -> str:
        """The layer for a sentence: `layer 3`, `vision block 0`, or the module where there is no layer."""
        if self.layer is None:
            return self.kind
        if self.tower == "text":
            return f"layer {self.layer}"
        return f"DeepStack merger {self.layer}" if self.module.startswith(_DEEPSTACK) else f"vision block {self.layer}"


def place_of(path: str) -> Place:
    """The place of a module, from its full name in the model.

    A merger of DeepStack counts as a layer by its number in their list, under a name of its own.
    """
    tower: Tower = "vision" if _VISION.search(path) else "text"
    match = _NUMBERED.fullmatch(path)
    if match is None:
        return Place(tower, None, _VISION.split(path)[-1].removeprefix("model."))
    rest = _GROUP.sub("", match["rest"])
    module = f"{_DEEPSTACK}{rest}" if match["list"] == "deepstack_merger_list" else rest
    return Place(tower, int(match["number"]), module)


def order(place: Place) -> tuple[str, bool, int, int, str]:
    """Sorts text before vision, by layer, and the modules of a layer as the layer runs through them."""
    return place.tower, place.layer is None, place.layer or 0, *module_order(place.module)


def module_order(module: str) -> tuple[int, str]:
    """Sorts kinds of modules as a layer runs through them, unknown ones last by name."""
    return (_ORDER.index(module) if module in _ORDER else len(_ORDER)), module
