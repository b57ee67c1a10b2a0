"""From attention rows to maps: one number for each vision token of a picture, as a (rows, cols) grid.

Notation in the formulas: r[t, l, h, k] is the kept row of token t in layer l and head h, at key k. A mean runs over
the tokens chosen, and over all layers or heads where none is chosen. Every function reads only the slices that it
needs, so that a click stays cheap when the rows lie on disk. Knows no picture's pixels, no colours and no model.

A choice that does not exist is refused with SettingsError, a picture that does not exist with GeometryError.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from inference.errors import GeometryError, SettingsError
from inference.trace.geometry import cell_of_token
from inference.trace.session import ImageSpan, Token, Trace

SHARES = ("picture", "question", "first token", "rest")
"""Where a row's attention goes; the four of `shares` in this order, each key counted once."""

TokenChoice = slice | Sequence[int]

_CONTROL_TOKEN = re.compile(r"\s*<\|.*\|>\s*")


@dataclass(frozen=True)
class Spot:
    """One place to look from; `layer` or `head` None: the mean over all of them."""

    token: int
    layer: int | None = None
    head: int | None = None


@dataclass(frozen=True)
class Sharpest:
    """The spot that looks at a picture most sharply, and what speaks for it.

    `image`, `row`, `col`: the cell it looks at. `share`: of all its attention on that cell; `usual`: what the
    other tokens give that cell in the same head (their median); `picture_share`: on all pictures together.
    """

    spot: Spot
    image: int
    row: int
    col: int
    share: float
    usual: float
    picture_share: float


def share_of_rows(trace: Trace, rows: Float[np.ndarray, "*axes keys"]) -> Float[np.ndarray, "*axes 4"]:
    """Sums of any rows of this trace over the four parts of `SHARES`: S_p = sum of r[k] over the keys k of part p.

    The first token is key 0 wherever it lies; question and pictures are counted without it. The four sum to the
    row's sum, which is one.
    """
    parts = np.zeros((trace.rows.shape[-1], len(SHARES)), np.float32)
    parts[:, SHARES.index("rest")] = 1
    for span in trace.images:
        parts[span.start : span.stop] = np.eye(len(SHARES))[SHARES.index("picture")]
    parts[slice(*trace.question_span)] = np.eye(len(SHARES))[SHARES.index("question")]
    parts[0] = np.eye(len(SHARES))[SHARES.index("first token")]
    return np.asarray(np.asarray(rows, np.float32) @ parts)


def shares(trace: Trace) -> Float[np.ndarray, "tokens layers heads 4"]:
    """`share_of_rows` of every kept row; reads all of them once, so keep the result where it is asked for often."""
    _, layers, heads, _ = trace.rows.shape
    result = np.empty((len(trace.tokens), layers, heads, len(SHARES)), np.float32)
    for index, rows in enumerate(trace.rows):
        result[index] = share_of_rows(trace, rows)
    return result


def row_of(
    trace: Trace, tokens: TokenChoice, layer: int | None = None, head: int | None = None
) -> Float[np.ndarray, "keys"]:
    """The mean row over what is chosen: R[k] = mean over t, l, h of r[t, l, h, k]; sums to one."""
    return _mean(_block(trace, tokens, layer, head, slice(None)), (0, 1, 2))


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
    """
    span = _span(trace, image)
    return _grid(_mean(_block(trace, tokens, layer, head, _keys(span)), (0, 1, 2)), span, within=within)


def layer_maps(
    trace: Trace, *, tokens: TokenChoice, head: int | None = None, image: int = 0, within: bool = False
) -> Float[np.ndarray, "layers rows cols"]:
    """One `image_map` a layer: M[l, c] = mean over t, h of r[t, l, h, key of c]; `within`: each by its own sum."""
    span = _span(trace, image)
    return _grid(_mean(_block(trace, tokens, None, head, _keys(span)), (0, 2)), span, within=within)


def head_maps(
    trace: Trace, *, tokens: TokenChoice, layer: int | None = None, image: int = 0, within: bool = False
) -> Float[np.ndarray, "heads rows cols"]:
    """One `image_map` a head: M[h, c] = mean over t, l of r[t, l, h, key of c]; `within`: each by its own sum."""
    span = _span(trace, image)
    return _grid(_mean(_block(trace, tokens, layer, None, _keys(span)), (0, 1)), span, within=within)


def token_maps(
    trace: Trace,
    *,
    tokens: TokenChoice = slice(None),
    layer: int | None = None,
    head: int | None = None,
    image: int = 0,
    within: bool = False,
) -> Float[np.ndarray, "tokens rows cols"]:
    """One `image_map` a token: M[t, c] = mean over l, h of r[t, l, h, key of c]; `within`: each by its own sum."""
    span = _span(trace, image)
    return _grid(_mean(_block(trace, tokens, layer, head, _keys(span)), (1, 2)), span, within=within)


def layer_head_share(trace: Trace, tokens: TokenChoice, image: int | None = None) -> Float[np.ndarray, "layers heads"]:
    """Share of attention on a picture for every head: P[l, h] = mean over t of (sum over its cells of r[t, l, h, c]).

    `image` None: on all pictures together; all zero where there is none.
    """
    spans = trace.images if image is None else (_span(trace, image),)
    total = np.zeros(trace.rows.shape[1:3], np.float32)
    for span in spans:
        total += _block(trace, tokens, None, None, _keys(span)).sum(-1, dtype=np.float32).mean(0)
    return total


def sharpest(trace: Trace) -> Sharpest | None:
    """The token, layer and head that looks at one cell most sharply; None without a picture or without tokens.

    C[t, l, h] = max over cells c of (r[t, l, h, c] - median over t' of r[t', l, h, c]), and the largest C wins, the
    earliest on a tie. A sink is bright for every token of a head, so the median takes it away. A lone token has
    nothing to be compared with: for it the median counts as zero. Punctuation, spaces and control tokens take part
    in the median and win only where there is nothing else.
    """
    if not trace.images or not trace.tokens:
        return None
    candidates = _wordlike(trace.tokens)
    cells = np.concatenate([np.arange(span.start, span.stop) for span in trace.images])
    bounds = _contrast_bounds(trace)
    best, winner = -np.inf, (0, 0, 0, 0)
    # Heads are tried in the order of what they could reach at most, until none that is left can win.
    for flat in np.argsort(-bounds, axis=None, kind="stable"):
        layer, head = (int(index) for index in np.unravel_index(flat, bounds.shape))
        if bounds[layer, head] < best:
            break
        rows = np.asarray(trace.rows[:, layer, head])[:, cells]
        contrast = (rows - _usual(rows))[candidates]
        place, cell = (int(index) for index in np.unravel_index(contrast.argmax(), contrast.shape))
        found = (candidates[place], layer, head, int(cells[cell]))
        if contrast[place, cell] > best or (contrast[place, cell] == best and found < winner):
            best, winner = float(contrast[place, cell]), found
    return _describe(trace, *winner)


def _describe(trace: Trace, token: int, layer: int, head: int, key: int) -> Sharpest:
    image = next(number for number, span in enumerate(trace.images) if span.start <= key < span.stop)
    row, col = cell_of_token(trace.images[image], key)
    column = np.asarray(trace.rows[:, layer, head, key])
    picture_share = share_of_rows(trace, trace.rows[token, layer, head])[SHARES.index("picture")]
    return Sharpest(
        Spot(token, layer, head),
        image,
        row,
        col,
        share=float(column[token]),
        usual=float(_usual(column[:, None])[0]),
        picture_share=float(picture_share),
    )


def _usual(rows: Float[np.ndarray, "tokens cells"]) -> Float[np.ndarray, "cells"]:
    """The median over tokens, by a full sort, which numpy does faster than a partition along this axis; 0 for one."""
    count = len(rows)
    if count == 1:
        return np.zeros_like(rows[0])
    return np.asarray(np.sort(rows, axis=0)[(count - 1) // 2 : count // 2 + 1].mean(0))


def _contrast_bounds(trace: Trace) -> Float[np.ndarray, "layers heads"]:
    """What no contrast of a head can exceed: the most that its tokens differ on one cell."""
    bounds = np.zeros(trace.rows.shape[1:3], np.float32)
    for span in trace.images:
        block = trace.rows[..., _keys(span)]
        least = block.min(0) if len(block) > 1 else np.float32(0)
        np.maximum(bounds, (block.max(0) - least).max(-1), out=bounds)
    return bounds


def _wordlike(tokens: tuple[Token, ...]) -> list[int]:
    """Indices of the tokens that hold a letter or a digit and are no control tokens; of all, if there is none."""
    words = [
        index
        for index, token in enumerate(tokens)
        if any(char.isalnum() for char in token.text) and not _CONTROL_TOKEN.fullmatch(token.text)
    ]
    return words or list(range(len(tokens)))


def _span(trace: Trace, image: int) -> ImageSpan:
    if not trace.images:
        raise GeometryError("a question with a picture", "one without", "add a picture to see where the model looks")
    if not 0 <= image < len(trace.images):
        raise GeometryError(f"a picture from 0 to {len(trace.images) - 1}", str(image), "choose one of the pictures")
    return trace.images[image]


def _keys(span: ImageSpan) -> slice:
    return slice(span.start, span.stop)


def _block(
    trace: Trace, tokens: TokenChoice, layer: int | None, head: int | None, keys: slice
) -> Float[np.ndarray, "tokens layers heads keys"]:
    """The rows chosen, all four axes kept; a view where `tokens` is a slice."""
    count, layers, heads, _ = trace.rows.shape
    block = trace.rows[:, _one("layer", layer, layers), _one("head", head, heads), keys]
    if isinstance(tokens, slice):
        chosen: Float[np.ndarray, "tokens layers heads keys"] = block[tokens]
    else:
        for token in tokens:
            _one("token", token, count)
        chosen = block[np.asarray(tokens, np.intp)]
    if not len(chosen):
        raise SettingsError(f"at least one of {count} tokens", "none", "choose a token of the question or the answer")
    return chosen


def _one(what: str, index: int | None, count: int) -> slice:
    if index is None:
        return slice(None)
    if not 0 <= index < count:
        raise SettingsError(f"a {what} from 0 to {count - 1}", str(index), f"choose one of the {count} {what}s")
    return slice(index, index + 1)


def _mean(block: Float[np.ndarray, "..."], axes: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    return np.asarray(block.mean(axes, dtype=np.float32))


def _grid(
    flat: Float[np.ndarray, "*maps cells"], span: ImageSpan, *, within: bool
) -> Float[np.ndarray, "*maps rows cols"]:
    if within:
        total = flat.sum(-1, keepdims=True)
        flat = np.divide(flat, total, out=np.zeros_like(flat), where=total > 0)
    return flat.reshape(*flat.shape[:-1], span.rows, span.cols)
