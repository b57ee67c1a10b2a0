"""What a person writes for a variant, for words, for numbers, for what to keep: read alike by page, programs, commands.

Knows no model: whether an adapter or a layer is there is the engine's to say.
"""

import math
import re
from collections.abc import Sequence
from typing import get_args

from inference.errors import SettingsError
from inference.trace.request import BASE, BASE_LABEL, AdapterAt, Keep, Keys, Numbers, Part, Variant, Words

_NUMBERS = re.compile(r"(\d{1,3})(?:\s*-\s*(\d{1,3}))?", re.ASCII)


def parse_variant(text: str) -> Variant:
    """The variant that a label names: `base`, `name`, `name@0.5`, `a@0.5+b`; `@` is always a scale.

    Raises:
        SettingsError: the scale is not a finite number, or a name is empty.
    """
    if text.strip() == BASE_LABEL:
        return BASE
    return Variant(tuple(_parse_adapter(part.strip()) for part in text.split("+")))


def _parse_adapter(text: str) -> AdapterAt:
    name, at, scale = text.rpartition("@")
    if not at:
        name, scale = text, "1"
    try:
        number = float(scale)
    except ValueError:
        number = math.nan
    if not name or not math.isfinite(number):
        raise SettingsError(
            "an adapter as NAME or NAME@SCALE with a finite scale",
            repr(text),
            "write for instance shortcut@0.5",
        )
    return AdapterAt(name, number)


def parse_numbers(text: str, what: str) -> tuple[int, ...] | None:
    """The numbers of `0-5,20`, each once and in order; None, which stands for every one, of `all` or of nothing.

    `what` is what the error calls them, such as "layers".

    Raises:
        SettingsError: something else, or a range that runs backwards.
    """
    if text.strip().lower() in ("", "all"):
        return None
    numbers: set[int] = set()
    for part in text.split(","):
        found = _NUMBERS.fullmatch(part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if first > last:
            raise SettingsError(
                f"{what} as numbers from 0 and ranges of them", repr(text)[:40], "write for instance 0-5,20, or all"
            )
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def parse_keep(
    tokens: Sequence[str], *, layers: str = "", heads: str = "", keys: str = "all", numbers: str = "float16"
) -> Keep:
    """What to keep, as a person writes it: `tokens` are names of `Part`, layers and heads are for `parse_numbers`.

    Raises:
        SettingsError: no token, or a word that is none of those there are.
    """
    for token in tokens:
        _check_word("a kind of tokens", token, get_args(Part))
    if not tokens:
        raise SettingsError("some tokens to keep", "none", f"choose from {', '.join(get_args(Part))}")
    _check_word("keys", keys, get_args(Keys))
    _check_word("numbers", numbers, get_args(Numbers))
    return Keep(
        **{part: part in tokens for part in get_args(Part)},
        layers=parse_numbers(layers, "layers"),
        heads=parse_numbers(heads, "heads"),
        keys="pictures" if keys == "pictures" else "all",
        numbers="float32" if numbers == "float32" else "float16",
    )


def parse_words(text: str) -> Words:
    """Whose words the variants say, as a person writes it: own or base.

    Raises:
        SettingsError: something else.
    """
    _check_word("words", text, get_args(Words))
    return "base" if text == "base" else "own"


def _check_word(what: str, word: str, allowed: Sequence[str]) -> None:
    if word not in allowed:
        raise SettingsError(f"{what} of {', '.join(allowed)}", repr(word)[:40], "choose one of them")
