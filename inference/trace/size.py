"""How much room the arrays of a question take on disk, told before it is run; what to leave out if that is too much.

Counts the arrays exactly, as `inference.trace.session.Trace` describes them; pictures and words come on top and are
small. Knows no model: what is asked of one arrives as numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from inference.errors import SettingsError
from inference.trace.request import Keep
from inference.trace.session import PARTS

_BYTES = {"float16": 2, "float32": 4}


@dataclass(frozen=True)
class Extent:
    """What a run may grow to, for each of its variants.

    tokens: kept query tokens, at most. length: keys of the whole sequence when the answer reaches its limit.
    picture_tokens: vision tokens of all `pictures`. layers, heads: all that the model has.
    template_tokens: those of `tokens` that are kept for `Keep.prompt` alone. answer_tokens: the answer's limit.
    """

    tokens: int
    length: int
    picture_tokens: int
    pictures: int
    layers: int
    heads: int
    variants: int
    template_tokens: int = 0
    answer_tokens: int = 0


_Change = tuple[str, Extent, Keep]
"""A remedy in words, and what would be asked for with it."""


def check_keep(keep: Keep, layers: int, heads: int) -> None:
    """Refuses a choice of layers or heads that a model with so many of them lacks.

    Raises:
        SettingsError: the first number that is too large is named.
    """
    for what, chosen, count in (("layer", keep.layers, layers), ("head", keep.heads, heads)):
        beyond = [index for index in chosen or () if not 0 <= index < count]
        if beyond:
            raise SettingsError(
                f"{what}s to keep from 0 to {count - 1}", str(beyond[0]), f"choose some of the model's {count} {what}s"
            )


def kept_bytes(extent: Extent, keep: Keep) -> int:
    """Bytes of all arrays of all variants, if every answer reaches its limit; the headers of the files not counted."""
    layers, heads = _kept(keep.layers, extent.layers), _kept(keep.heads, extent.heads)
    rows = layers * heads + extent.layers + extent.heads + 1  # of single heads, mean of a layer, of a head, of all
    sums = extent.layers * extent.heads * (len(PARTS) + extent.pictures)
    row_bytes = rows * _columns(extent, keep) * _BYTES[keep.numbers]
    return extent.variants * extent.tokens * (row_bytes + sums * _BYTES["float32"])


def describe_size(extent: Extent, keep: Keep) -> str:
    """One sentence: what is kept at most, and how large that is."""
    return f"Up to {_describe(extent, keep)}: {format_bytes(kept_bytes(extent, keep))}."


def check_size(extent: Extent, keep: Keep, gigabytes: float) -> None:
    """Refuses what would take more than `gigabytes` on disk.

    Raises:
        SettingsError: with every single change that alone would bring it under the limit, and the size it would have.
    """
    size, limit = kept_bytes(extent, keep), gigabytes * 1e9
    if size <= limit:
        return
    sizes = [(text, kept_bytes(smaller, less)) for text, smaller, less in _changes(extent, keep, limit)]
    remedies = [f"{text} ({format_bytes(fitting)})" for text, fitting in sizes if fitting <= limit]
    raise SettingsError(
        f"at most {gigabytes:g} GB of attention rows",
        f"up to {format_bytes(size)} ({_describe(extent, keep)})",
        f"keep {' or '.join(remedies)}"
        if remedies
        else "keep less of several: keys, tokens, layers, heads or variants",
    )


def format_bytes(count: int) -> str:
    """A number of bytes for people, in three figures at most and rounded up: `870 kB`, `1.21 GB`."""
    step = 10 ** max(len(str(count)) - 3, 0)
    count = -(-count // step) * step
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 1000 * size else f"{count // size:,} {unit}"
    return f"{count} bytes"


def _changes(extent: Extent, keep: Keep, limit: float) -> list[_Change]:
    """Single changes to what is asked; of layers, heads, variants and answer tokens, to the most that fit."""
    changes: list[_Change] = []
    if keep.keys == "all" and extent.pictures:
        changes.append(("the keys of the pictures alone", extent, replace(keep, keys="pictures")))
    if keep.numbers == "float32":
        changes.append(("float16 numbers", extent, replace(keep, numbers="float16")))
    if keep.prompt and extent.template_tokens:
        said = replace(extent, tokens=extent.tokens - extent.template_tokens, template_tokens=0)
        changes.append(("less than the whole prompt", said, replace(keep, prompt=False)))
    for count, total, text, change in _counts(extent, keep):
        fitting = (less for less in range(count - 1, 0, -1) if kept_bytes(*change(less)) <= limit)
        most = next(fitting, 0)
        if most:
            changes.append((f"at most {most} of {total} {text}", *change(most)))
    return changes


def _counts(extent: Extent, keep: Keep) -> list[tuple[int, int, str, Callable[[int], tuple[Extent, Keep]]]]:
    """What can be asked in smaller numbers: how many now, of how many, of what, and what is asked with fewer."""

    def shorter(most: int) -> tuple[Extent, Keep]:
        cut = extent.answer_tokens - most
        tokens = extent.tokens - (cut if keep.answer or keep.thinking else 0)
        return replace(extent, tokens=tokens, length=extent.length - cut, answer_tokens=most), keep

    layers, heads = _kept(keep.layers, extent.layers), _kept(keep.heads, extent.heads)
    return [
        (layers, extent.layers, "layers", lambda most: (extent, replace(keep, layers=tuple(range(most))))),
        (heads, extent.heads, "heads", lambda most: (extent, replace(keep, heads=tuple(range(most))))),
        (extent.variants, extent.variants, "variants", lambda most: (replace(extent, variants=most), keep)),
        (extent.answer_tokens, extent.answer_tokens, "answer tokens", shorter),
    ]


def _describe(extent: Extent, keep: Keep) -> str:
    counts = [(extent.tokens, "token"), (_kept(keep.layers, extent.layers), "layer")]
    counts.append((_kept(keep.heads, extent.heads), "head"))
    if extent.variants > 1:
        counts.insert(0, (extent.variants, "variant"))
    told = " x ".join(_count(number, what) for number, what in counts)
    keys = _count(_columns(extent, keep), "key" if keep.keys == "all" else "picture key")
    return f"{told} over {keys} in {keep.numbers}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _kept(chosen: tuple[int, ...] | None, count: int) -> int:
    return count if chosen is None else len(chosen)


def _columns(extent: Extent, keep: Keep) -> int:
    return extent.length if keep.keys == "all" else extent.picture_tokens
