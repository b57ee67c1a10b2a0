"""HTML put together so that no text of a stranger becomes markup: what is not `Markup` is text, and is escaped.

Names of tags and attributes are the program's own. Knows no page and no report.
"""

import html
from dataclasses import dataclass
from typing import Union

Child = Union["Markup", str, None]
Value = str | int | float | bool | None

_EMPTY = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})


@dataclass(frozen=True)
class Markup:
    """HTML that this program wrote."""

    html: str


def tag(name: str, *children: Child, **attributes: Value) -> Markup:
    """An element; in names of attributes `_` stands for `-`, and one at the end is dropped: `class_`, `aria_label`.

    Attributes that are None or False are left out, True stands without a value; children that are None are left out.
    """
    start = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Markup(start if name in _EMPTY else f"{start}{joined(*children).html}</{name}>")


def joined(*children: Child) -> Markup:
    """The children one after another, with no element round them."""
    return Markup("".join(_written(child) for child in children if child is not None))


def _written(child: Markup | str) -> str:
    return child.html if isinstance(child, Markup) else html.escape(child)


def _attribute(key: str, value: Value) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f" {name}" if value is True else f' {name}="{html.escape(text)}"'
