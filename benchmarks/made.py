"""Made sessions of the shapes that real ones have: three variants of a model on one large picture.

Rows are noise with a few bright places, which no encoder can make small; knows no model and no page.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from inference.trace.arrays import ArrayFile, map_array
from inference.trace.condense import condense
from inference.trace.files import write_session
from inference.trace.parse import parse_variant
from inference.trace.request import Keep, Part, Picture, Request
from inference.trace.session import ImageSpan, ModelFacts, Run, RunnerUp, Scores, Session, Timings, Token, Trace

CELL_PX = 32
VARIANTS = ("base", "shortcut", "other@0.5")
BLOCKS = 7


@dataclass(frozen=True)
class Shape:
    """Of a model, its picture in cells, and the tokens that are kept."""

    name: str
    layers: int
    heads: int
    kv_heads: int
    rows: int
    cols: int
    question: int = 20
    answer: int = 20

    @property
    def picture_wh(self) -> tuple[int, int]:
        return self.cols * CELL_PX, self.rows * CELL_PX


LARGE = Shape("made 2B", 28, 16, 8, 50, 50)
"""Three variants take 300 MB in float16."""
HUGE = Shape("made 8B", 36, 32, 8, 49, 87)
"""Three variants take 1.3 GB in float16."""


def make_large_session(shape: Shape = LARGE, seed: int = 0) -> Session:
    """A session in memory, its rows in float16."""
    rng = np.random.default_rng(seed)
    tokens, span, question_span = _sequence(shape)
    session = _session(shape, rng)
    runs = []
    for variant in session.request.variants:
        rows = np.concatenate(list(_rows(shape, tokens, rng)))
        trace = condense(rows, tokens=tokens, images=(span,), question_span=question_span, keep=Keep())
        runs.append(Run(variant, "made answer", "stop", trace, Timings(0.0, 0.0, 0.0)))
    return replace(session, runs=tuple(runs))


def write_huge_session(folder: Path, shape: Shape = HUGE, seed: int = 0) -> Session:
    """A session written into a new folder and mapped from there: no more than `BLOCKS` of its tokens are in memory.

    Its tokens take turns with as many rows, which look at nothing behind the first token's place; the sharpest spot of
    a variant is that of its first token, looked at alone.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    session = _session(shape, rng)
    tokens, span, question_span = _sequence(shape)
    first = tokens[:1]
    blocks = [
        condense(rows, tokens=first, images=(span,), question_span=question_span, keep=Keep())
        for rows in _rows(shape, first * BLOCKS, rng)
    ]
    runs = []
    for number, variant in enumerate(session.request.variants):
        trace = _write_trace(folder, number, blocks[number:] + blocks[:number], tokens)
        runs.append(Run(variant, "made answer", "stop", trace, Timings(0.0, 0.0, 0.0)))
    session = replace(session, runs=tuple(runs))
    write_session(session, folder)
    return session


def _write_trace(folder: Path, number: int, blocks: list[Trace], tokens: tuple[Token, ...]) -> Trace:
    """The trace in which token after token has the rows of the next of these traces of one token."""

    def write(name: str) -> np.ndarray:
        arrays: list[np.ndarray] = [getattr(block, name) for block in blocks]
        path = folder / f"{name}-{number}.npy"
        with ArrayFile(path, (len(tokens), *arrays[0].shape[1:]), arrays[0].dtype.str) as file:
            for index in range(len(tokens)):
                file.put((index,), arrays[index % len(arrays)][0])
        return map_array(path)

    return replace(
        blocks[0],
        tokens=tokens,
        rows=write("rows"),
        layer_means=write("layer_means"),
        head_means=write("head_means"),
        means=write("means"),
        sums=write("sums"),
    )


def _session(shape: Shape, rng: np.random.Generator) -> Session:
    """What was asked of which model; without runs."""
    variants = tuple(parse_variant(label) for label in VARIANTS)
    request = Request("What is there, and where is it?", (_picture(shape, rng),), variants)
    facts = ModelFacts(shape.name, shape.layers, shape.heads, shape.kv_heads, 16, 2, "bfloat16", "none")
    return Session(request, facts, (), "2026-01-01T00:00:00+00:00")


def _picture(shape: Shape, rng: np.random.Generator) -> Picture:
    """Smooth blobs with some grain, about as hard to encode as a photo."""
    coarse = rng.integers(0, 256, (25, 25, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize(shape.picture_wh, Image.Resampling.BICUBIC), np.int16)
    grain = rng.integers(-6, 7, smooth.shape, np.int16)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(buffer, "PNG", compress_level=1)
    return Picture(buffer.getvalue(), *shape.picture_wh, "made.png")


def _sequence(shape: Shape) -> tuple[tuple[Token, ...], ImageSpan, tuple[int, int]]:
    """The kept tokens, the picture's place, and the question's: template, picture, question, template, answer."""
    span = ImageSpan(4, shape.rows, shape.cols, shape.picture_wh, shape.picture_wh)
    start = span.stop + 1
    prompt = start + shape.question + 5
    tokens = [_token(f" w{i}", start + i, start + i, "question") for i in range(shape.question)]
    tokens += [_token(f" a{i}", prompt + i, prompt + i - 1, "answer") for i in range(shape.answer)]
    return tuple(tokens), span, (start, start + shape.question)


def _rows(
    shape: Shape, tokens: tuple[Token, ...], rng: np.random.Generator
) -> Iterator[Float[np.ndarray, "1 layers heads keys"]]:
    """The rows of each token: the same noise, moved on from token to token, for drawing it takes longest."""
    keys = _sequence(shape)[0][-1].position + 1
    noise = rng.gamma(0.3, size=(shape.layers, shape.heads, keys)).astype(np.float32) + np.float32(1e-6)
    for index, token in enumerate(tokens):
        rows = np.roll(noise, 131 * index, axis=-1)
        rows[..., token.row_at + 1 :] = 0
        yield (rows / rows.sum(-1, keepdims=True))[None]


def _token(text: str, position: int, row_at: int, part: Part) -> Token:
    others = tuple(RunnerUp(i, f" other{i}", -2.0 - i) for i in range(5))
    return Token(0, text, position, row_at, part, Scores(-0.2, 0.6, others) if part == "answer" else None)
