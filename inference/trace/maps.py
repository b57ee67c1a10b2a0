"""From a trace to maps: one number for each vision token of a picture, as a (rows, cols) grid.

Notation in the formulas: r[t, l, h, k] is the row of token t in layer l and head h, at key k. A mean runs over the
tokens chosen, and over all layers or heads where none is chosen: these means were taken when the trace was made. Rows
of single heads are there for the layers and heads that were kept alone (`is_kept`). Every function reads only the
slices that it needs, so that a click stays cheap when the arrays lie on disk. Knows no picture's pixels, no colours and
no model.

A choice that does not exist is refused with SettingsError, a picture that does not exist with GeometryError.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from inference.errors import GeometryError, SettingsError
from inference.trace.half import mean_of, widened
from inference.trace.session import PARTS, ImageSpan, Trace

SHARES = ("picture", "question", "first token", "rest")
"""Where a row's attention goes; the four of `shares` in this order, each key counted once."""

TokenChoice = slice | Sequence[int]
_Picked = slice | np.ndarray


def is_kept(trace: Trace, layer: int | None, head: int | None) -> bool:
    """Whether there are maps of this layer and head; None stands for the mean over all, which is always kept."""
    return layer is None or head is None or (layer in trace.layers and head in trace.heads)


def shares(trace: Trace) -> Float[np.ndarray, "tokens layers heads 4"]:
    """What every row of every layer and head gave to each of `SHARES`; the four sum to one.

    "picture" is all pictures together. The first token is key 0 wherever it lies; question and pictures are counted
    without it.
    """
    return shares_of_sums(np.asarray(trace.sums))


def shares_of_sums(sums: Float[np.ndarray, "*axes parts"]) -> Float[np.ndarray, "*axes 4"]:
    """Any sums with the last axis of `Trace.sums` (PARTS, then pictures) in the order of `SHARES`."""
    parts = [sums[..., PARTS.index(name)] for name in SHARES[1:]]
    return np.stack([sums[..., len(PARTS) :].sum(-1), *parts], axis=-1)


def picture_shares(trace: Trace) -> Float[np.ndarray, "tokens layers heads images"]:
    """What every row of every layer and head gave to each picture."""
    return np.asarray(trace.sums[..., len(PARTS) :])


def layer_head_share(trace: Trace, tokens: TokenChoice, image: int | None = None) -> Float[np.ndarray, "layers heads"]:
    """Share of attention on a picture for every head: P[l, h] = mean over t of (sum over its cells of r[t, l, h, c]).

    `image` None: on all pictures together; all zero where there is none.
    """
    parts = slice(len(PARTS), None)
    if image is not None:
        _span(trace, image)
        parts = slice(len(PARTS) + image, len(PARTS) + image + 1)
    return np.asarray(mean_of(trace.sums[_pick(trace, tokens), :, :, parts]).sum(-1))


def image_map(
    trace: Trace,
    *,
    tokens: TokenChoice,
    layer: int | None = None,
    head: int | None = None,
    image: int = 0,
    within: bool = False,
) -> Float[np.ndarray, "rows cols"]:
    """Share of attention on each cell: M[c] = mean over t, l, h of r[t, l, h, key of c]; sums to the picture's share.

    `within`: share within the picture, W[c] = M[c] / (sum of M over its cells), which sums to one; all zero where
    none of the attention goes to the picture. The mean is taken first, so tokens that hardly look weigh little.

    Raises:
        SettingsError: both a layer and a head are chosen, and their rows were not kept.
    """
    span = _span(trace, image)
    picked = _pick(trace, tokens)
    return _grid(mean_of(_cells(trace, picked, layer, head, trace.columns(image))), span, within=within)


def token_maps(
    trace: Trace,
    *,
    tokens: TokenChoice = slice(None),
    layer: int | None = None,
    head: int | None = None,
    image: int = 0,
    within: bool = False,
) -> Float[np.ndarray, "tokens rows cols"]:
    """One `image_map` a token: M[t, c] = mean over l, h of r[t, l, h, key of c]; `within`: each by its own sum.

    Raises:
        SettingsError: both a layer and a head are chosen, and their rows were not kept.
    """
    span = _span(trace, image)
    picked = _pick(trace, tokens)
    flat = widened(_cells(trace, picked, layer, head, trace.columns(image)))
    return _grid(flat, span, within=within)


def layer_maps(
    trace: Trace, *, tokens: TokenChoice, head: int | None = None, image: int = 0, within: bool = False
) -> Float[np.ndarray, "layers rows cols"]:
    """One `image_map` a layer: M[l, c] = mean over t, h of r[t, l, h, key of c]; `within`: each by its own sum.

    With a head chosen, the grids of layers whose rows were not kept are NaN; of all layers, if the head's were not.
    """
    span = _span(trace, image)
    picked, columns, layer_count = _pick(trace, tokens), trace.columns(image), trace.sums.shape[1]
    if head is None:
        return _grid(mean_of(trace.layer_means[picked, :, columns]), span, within=within)
    _check_index("head", head, trace.sums.shape[2])
    flat = np.full((layer_count, columns.stop - columns.start), np.nan, np.float32)
    if trace.layers and head in trace.heads:
        flat[list(trace.layers)] = mean_of(trace.rows[picked, :, trace.heads.index(head), columns])
    return _grid(flat, span, within=within)


def head_maps(
    trace: Trace, *, tokens: TokenChoice, layer: int | None = None, image: int = 0, within: bool = False
) -> Float[np.ndarray, "heads rows cols"]:
    """One `image_map` a head: M[h, c] = mean over t, l of r[t, l, h, key of c]; `within`: each by its own sum.

    With a layer chosen, the grids of heads whose rows were not kept are NaN; of all heads, if the layer's were not.
    """
    span = _span(trace, image)
    picked, columns, head_count = _pick(trace, tokens), trace.columns(image), trace.sums.shape[2]
    if layer is None:
        return _grid(mean_of(trace.head_means[picked, :, columns]), span, within=within)
    _check_index("layer", layer, trace.sums.shape[1])
    flat = np.full((head_count, columns.stop - columns.start), np.nan, np.float32)
    if trace.heads and layer in trace.layers:
        flat[list(trace.heads)] = mean_of(trace.rows[picked, trace.layers.index(layer), :, columns])
    return _grid(flat, span, within=within)


def listed(what: str, indices: tuple[int, ...]) -> str:
    """The layers or heads in words, neighbours put together: `layers 0 to 3, 7`, `layer 5`, or `no layers`."""
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    told = ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"{what if len(indices) == 1 else f'{what}s'} {told}" if runs else f"no {what}s"


def _cells(
    trace: Trace, picked: _Picked, layer: int | None, head: int | None, columns: slice
) -> Float[np.ndarray, "tokens cells"]:
    """What the tokens gave to these columns in one layer and head, or in the mean over all where one is None."""
    _, layer_count, head_count, _ = trace.sums.shape
    if layer is not None:
        _check_index("layer", layer, layer_count)
    if head is not None:
        _check_index("head", head, head_count)
    if layer is None:
        return trace.means[picked, columns] if head is None else trace.head_means[picked, head, columns]
    if head is None:
        return trace.layer_means[picked, layer, columns]
    if not is_kept(trace, layer, head):
        raise SettingsError(
            f"a head whose rows were kept ({listed('layer', trace.layers)}, {listed('head', trace.heads)})",
            f"layer {layer}, head {head}",
            "choose one of these or a mean, or ask again and keep it",
        )
    return trace.rows[picked, trace.layers.index(layer), trace.heads.index(head), columns]


def _span(trace: Trace, image: int) -> ImageSpan:
    if not trace.images:
        raise GeometryError("a question with a picture", "one without", "add a picture to see where the model looks")
    if not 0 <= image < len(trace.images):
        raise GeometryError(f"a picture from 0 to {len(trace.images) - 1}", str(image), "choose one of the pictures")
    return trace.images[image]


def _pick(trace: Trace, tokens: TokenChoice) -> _Picked:
    """The tokens as an index of an array's first axis; at least one of them."""
    count = len(trace.tokens)
    if isinstance(tokens, slice):
        chosen = len(range(count)[tokens])
    else:
        chosen = len(tokens)
        for token in tokens:
            _check_index("token", token, count)
    if not chosen:
        raise SettingsError(f"at least one of {count} tokens", "none", "choose a token of the question or the answer")
    return tokens if isinstance(tokens, slice) else np.asarray(tokens, np.intp)


def _check_index(what: str, index: int, count: int) -> None:
    if not 0 <= index < count:
        raise SettingsError(f"a {what} from 0 to {count - 1}", str(index), f"choose one of the {count} {what}s")


def _grid(
    flat: Float[np.ndarray, "*maps cells"], span: ImageSpan, *, within: bool
) -> Float[np.ndarray, "*maps rows cols"]:
    if within:
        total = flat.sum(-1, keepdims=True)
        # A grid that is NaN stays so: only what is all zero is left as it is.
        flat = np.divide(flat, total, out=flat.copy(), where=total != 0)
    return flat.reshape(*flat.shape[:-1], span.rows, span.cols)
