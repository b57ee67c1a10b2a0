"""A made session of the shape that a real one has: three variants of a 2B model on a picture of 1600 px.

Rows are noise with a few bright places, which no encoder can make small; knows no model and no page.
"""

import io

import numpy as np
from jaxtyping import Float
from PIL import Image

from inference.trace.request import Part, Picture, Request, parse_variant
from inference.trace.session import ImageSpan, ModelFacts, Run, RunnerUp, Scores, Session, Timings, Token, Trace

LAYERS, HEADS, SIDE_PX, CELL_PX = 28, 16, 1600, 32
QUESTION, ANSWER = 20, 20
VARIANTS = ("base", "shortcut", "other@0.5")


def make_large_session(seed: int = 0) -> Session:
    """28 layers, 16 heads, 50 x 50 cells, 40 tokens."""
    rng = np.random.default_rng(seed)
    variants = tuple(parse_variant(label) for label in VARIANTS)
    request = Request("What is there, and where is it?", (_picture(rng),), variants)
    facts = ModelFacts("made 2B", LAYERS, HEADS, 8, 16, 2, "bfloat16", "none")
    runs = tuple(Run(variant, "made answer", "stop", _trace(rng), Timings(0, 0, 0)) for variant in variants)
    return Session(request, facts, runs, "2026-01-01T00:00:00+00:00")


def _picture(rng: np.random.Generator) -> Picture:
    """Smooth blobs with some grain, about as hard to encode as a photo."""
    coarse = rng.integers(0, 256, (25, 25, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC), np.int16)
    grain = rng.integers(-6, 7, smooth.shape, np.int16)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(buffer, "PNG", compress_level=1)
    return Picture(buffer.getvalue(), SIDE_PX, SIDE_PX, "made.png")


def _trace(rng: np.random.Generator) -> Trace:
    side = SIDE_PX // CELL_PX
    span = ImageSpan(4, side, side, (SIDE_PX, SIDE_PX), (SIDE_PX, SIDE_PX))
    start = span.stop + 1
    prompt = start + QUESTION + 5
    tokens = [_token(f" w{i}", start + i, start + i, "question") for i in range(QUESTION)]
    tokens += [_token(f" a{i}", prompt + i, prompt + i - 1, "answer") for i in range(ANSWER)]
    return Trace(tuple(tokens), _rows(rng, tokens, prompt + ANSWER), (span,), (start, start + QUESTION))


def _rows(rng: np.random.Generator, tokens: list[Token], keys: int) -> Float[np.ndarray, "tokens layers heads keys"]:
    rows = np.empty((len(tokens), LAYERS, HEADS, keys), np.float32)
    noise = rng.gamma(0.3, size=(HEADS, keys)).astype(np.float32) + np.float32(1e-6)
    for token, layer in np.ndindex(rows.shape[:2]):
        row = np.roll(noise, 131 * token + 37 * layer, axis=1)
        row[:, tokens[token].row_at + 1 :] = 0
        rows[token, layer] = row / row.sum(-1, keepdims=True)
    return rows


def _token(text: str, position: int, row_at: int, part: Part) -> Token:
    others = tuple(RunnerUp(i, f" other{i}", -2.0 - i) for i in range(5))
    return Token(0, text, position, row_at, part, Scores(-0.2, 0.6, others) if part == "answer" else None)
