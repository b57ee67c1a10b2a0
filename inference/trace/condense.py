"""A trace from the full rows of a run: what of them is kept, their means and sums, and the spot to look at first.

This is the slow and plain way, for rows that lie in memory; `inference.model.rows` does the same a layer at a time on
the model's device, and is tested against this. Knows no model, no picture's pixels and no disk.
"""

import itertools
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from inference.trace.geometry import cell_of_token
from inference.trace.request import Keep
from inference.trace.session import PARTS, ImageSpan, Sharpest, Spot, Token, Trace

_CONTROL_TOKEN = re.compile(r"\s*<\|.*\|>\s*")

FullRows = Float[np.ndarray, "tokens layers heads keys"]


def condense(
    rows: FullRows,
    *,
    tokens: tuple[Token, ...],
    images: tuple[ImageSpan, ...],
    question_span: tuple[int, int],
    keep: Keep | None = None,
) -> Trace:
    """The trace of these rows (float32, each summing to one), as `keep` has it (None: all of them, in float32)."""
    keep = keep or Keep(numbers="float32")
    _, layer_count, head_count, length = rows.shape
    layers = tuple(range(layer_count)) if keep.layers is None else keep.layers
    heads = tuple(range(head_count)) if keep.heads is None else keep.heads
    columns = kept_columns(images, length, pictures_alone=keep.keys == "pictures")
    kept = rows[..., columns]
    return Trace(
        tokens,
        images,
        question_span,
        length,
        layers,
        heads,
        keep.keys,
        rows=kept[:, list(layers)][:, :, list(heads)].astype(keep.numbers),
        layer_means=kept.mean(2).astype(keep.numbers),
        head_means=kept.mean(1).astype(keep.numbers),
        means=kept.mean((1, 2)).astype(keep.numbers),
        sums=np.asarray(rows @ part_weights(images, question_span, length)),
        sharpest=_sharpest(rows, tokens, images, layers, heads),
    )


def kept_columns(images: Sequence[ImageSpan], length: int, *, pictures_alone: bool) -> Bool[np.ndarray, "keys"]:
    """Which keys have a column of their own."""
    kept = np.full(length, not pictures_alone)
    for span in images:
        kept[span.start : span.stop] = True
    return kept


def part_weights(
    images: Sequence[ImageSpan], question_span: tuple[int, int], length: int
) -> Float[np.ndarray, "keys parts"]:
    """One where a key belongs to a part of `PARTS`, or to a picture, else 0: rows times this are `Trace.sums`."""
    weights = np.zeros((length, len(PARTS) + len(images)), np.float32)
    weights[:, PARTS.index("rest")] = 1
    named = [(slice(*question_span), PARTS.index("question"))]
    named += [(slice(span.start, span.stop), len(PARTS) + image) for image, span in enumerate(images)]
    for keys, part in [*named, (slice(0, 1), PARTS.index("first token"))]:
        weights[keys] = 0
        weights[keys, part] = 1
    return weights


def wordlike(tokens: Sequence[Token]) -> list[int]:
    """Indices of the tokens that hold a letter or a digit and are no control tokens; of all, if there is none."""
    words = [
        index
        for index, token in enumerate(tokens)
        if any(char.isalnum() for char in token.text) and not _CONTROL_TOKEN.fullmatch(token.text)
    ]
    return words or list(range(len(tokens)))


def searched(tokens: Sequence[Token]) -> list[int]:
    """Indices of the tokens that the search for the sharpest spot compares: not the template's, unless it is alone."""
    said = [index for index, token in enumerate(tokens) if token.part != "prompt"]
    return said or list(range(len(tokens)))


def _sharpest(
    rows: FullRows,
    tokens: tuple[Token, ...],
    images: tuple[ImageSpan, ...],
    layers: Sequence[int],
    heads: Sequence[int],
) -> Sharpest | None:
    """The token, layer and head that looks at one cell most sharply; None without a picture, token, layer or head.

    C[t, l, h] = max over cells c of (r[t, l, h, c] - median over t' of r[t', l, h, c]), and the largest C wins; on a
    tie the first layer, then head, token, cell. A sink is bright for every token of a head, so the median takes it
    away. A lone token has nothing to be compared with: for it the median counts as zero. Tokens are those of
    `searched`; punctuation, spaces and control tokens take part in the median and win only where there is nothing
    else. Layers and heads are those whose rows are kept.
    """
    among = searched(tokens)
    if not (images and among and layers and heads):
        return None
    keys = np.concatenate([np.arange(span.start, span.stop) for span in images])
    allowed = wordlike([tokens[index] for index in among])
    best, winner = -np.inf, (Spot(among[allowed[0]], layers[0], heads[0]), 0, 0.0)
    for layer, head in itertools.product(layers, heads):
        looked = rows[among, layer, head][:, keys]
        usual = np.median(looked, axis=0) if len(among) > 1 else np.zeros_like(looked[0])
        contrast = (looked - usual)[allowed]
        place, cell = (int(index) for index in np.unravel_index(contrast.argmax(), contrast.shape))
        if contrast[place, cell] > best:
            best = contrast[place, cell]
            winner = (Spot(among[allowed[place]], layer, head), int(keys[cell]), float(usual[cell]))
    spot, key, usual_share = winner
    row = rows[spot.token, spot.layer, spot.head]
    return describe_spot(
        images, spot, key, share=float(row[key]), usual=usual_share, picture_share=float(row[keys].sum())
    )


def describe_spot(
    images: Sequence[ImageSpan], spot: Spot, key: int, *, share: float, usual: float, picture_share: float
) -> Sharpest:
    """The spot with the picture and the cell that the key stands for."""
    image = next(number for number, span in enumerate(images) if span.start <= key < span.stop)
    row, col = cell_of_token(images[image], key)
    return Sharpest(spot, image, row, col, share, usual, picture_share)
