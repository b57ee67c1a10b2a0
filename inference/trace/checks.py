"""Whether what was read as a session can be one: sizes, indices and places belong together; and all shares are shares.

Looks at shapes and types of arrays, and at their numbers only in `check_shares`. Knows no disk and no JSON.
"""

import numpy as np

from inference.intake import check_png
from inference.trace.arrays import read_through
from inference.trace.codec import CodecError
from inference.trace.session import PARTS, ImageSpan, ModelFacts, Run, Session, Sharpest, Token, Trace

_MOST = 1.001
"""A share may lie above 1 by what float16 and a sum in float32 round."""


def check_structure(session: Session) -> None:
    """Refuses a session whose parts do not belong together; reads no array.

    Raises:
        CodecError: what cannot be right, in words.
        PictureError: a picture is damaged or has another size.
    """
    facts = session.model
    _require(min(facts.layers, facts.heads, facts.kv_heads, facts.patch_px, facts.merge) >= 1, "its model's sizes")
    for picture in session.request.images:
        check_png(picture.png, picture.width, picture.height)
    labels = [run.variant.label for run in session.runs]
    _require(bool(labels) and len(set(labels)) == len(labels), "its variants")
    for run in session.runs:
        _check_run(run, facts, pictures=len(session.request.images))


def check_shares(run: Run) -> None:
    """Refuses a run with a number that is no share; reads every array once, a token at a time.

    Raises:
        CodecError: an array holds a number below 0 or above 1, or NaN.
    """
    for name, array in _arrays(run.trace).items():
        # Compared as bits: floats from 0 up are in the order of their bits, and what is negative, infinite or NaN lies
        # above them all. Of float16 this takes a hundredth of the time of a comparison as numbers.
        bits = np.dtype(f"u{array.itemsize}")
        most = np.asarray(_MOST, array.dtype).view(bits)
        for block in read_through(array):
            if block.view(bits).max(initial=0) > most:
                raise CodecError(f"the {name} of {run.variant.label[:40]} are no shares")


def _arrays(trace: Trace) -> dict[str, np.ndarray]:
    return {
        "rows": trace.rows,
        "layer means": trace.layer_means,
        "head means": trace.head_means,
        "means": trace.means,
        "sums": trace.sums,
    }


def _check_run(run: Run, facts: ModelFacts, *, pictures: int) -> None:
    trace, label = run.trace, run.variant.label[:40]
    _require(trace.length >= 1, f"the length of {label}")
    _require(_are_indices(trace.layers, facts.layers), f"the layers of {label}")
    _require(_are_indices(trace.heads, facts.heads), f"the heads of {label}")
    _require(len(trace.images) == pictures, f"the number of pictures of {label}")
    _require(_fit_spans(trace.images, trace.length), f"the places of the pictures of {label}")
    start, stop = trace.question_span
    _require(0 <= start <= stop <= trace.length, f"the question's place in {label}")
    _require(all(_fits_token(token, trace.length) for token in trace.tokens), f"the places of the tokens of {label}")
    _check_arrays(trace, facts, label)
    _require(trace.sharpest is None or _fits_sharpest(trace.sharpest, trace), f"the sharpest spot of {label}")


def _check_arrays(trace: Trace, facts: ModelFacts, label: str) -> None:
    tokens, columns = len(trace.tokens), trace.length
    if trace.keys == "pictures":
        columns = sum(span.rows * span.cols for span in trace.images)
    shapes = {
        "rows": (tokens, len(trace.layers), len(trace.heads), columns),
        "layer means": (tokens, facts.layers, columns),
        "head means": (tokens, facts.heads, columns),
        "means": (tokens, columns),
        "sums": (tokens, facts.layers, facts.heads, len(PARTS) + len(trace.images)),
    }
    for name, array in _arrays(trace).items():
        if array.shape != shapes[name]:
            raise CodecError(f"the {name} of {label} have the shape {array.shape} and not {shapes[name]}")
        dtype = np.dtype(np.float32) if name == "sums" else trace.rows.dtype
        _require(array.dtype == dtype and dtype.str in ("<f2", "<f4"), f"the numbers of the {name} of {label}")


def _are_indices(indices: tuple[int, ...], count: int) -> bool:
    return len(set(indices)) == len(indices) and all(0 <= index < count for index in indices)


def _fits_token(token: Token, keys: int) -> bool:
    return 0 <= token.row_at < keys and token.row_at <= token.position <= token.row_at + 1


def _fit_spans(spans: tuple[ImageSpan, ...], keys: int) -> bool:
    end = 0
    for span in spans:
        if span.start < end or min(span.rows, span.cols, *span.resized_wh, *span.original_wh) < 1:
            return False
        end = span.stop
    return end <= keys


def _fits_sharpest(found: Sharpest, trace: Trace) -> bool:
    spot = found.spot
    if not (0 <= spot.token < len(trace.tokens) and spot.layer in trace.layers and spot.head in trace.heads):
        return False
    if not 0 <= found.image < len(trace.images):
        return False
    span = trace.images[found.image]
    are_shares = all(0 <= share <= _MOST for share in (found.share, found.usual, found.picture_share))
    return 0 <= found.row < span.rows and 0 <= found.col < span.cols and are_shares


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise CodecError(f"{what} cannot be right")
