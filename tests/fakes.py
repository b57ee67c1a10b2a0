"""Hand-made sessions and an engine without a model, for tests of everything that stands behind the engine."""

import io
import threading
from collections.abc import Generator

import numpy as np
from PIL import Image

from inference.protocol import AdapterFacts, Progress
from inference.trace.request import Limits, Part, Picture, Request, Variant, check_request, parse_variant
from inference.trace.session import ImageSpan, ModelFacts, Run, RunnerUp, Scores, Session, Timings, Token, Trace

LAYERS, HEADS, ROWS, COLS = 5, 3, 7, 11
CELL = 32


def make_picture(width: int = COLS * CELL, height: int = ROWS * CELL, name: str = "made.png") -> Picture:
    """A picture with a red square on grey."""
    pixels = np.full((height, width, 3), 200, np.uint8)
    pixels[height // 4 : height // 2, width // 4 : width // 2] = (220, 30, 30)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return Picture(buffer.getvalue(), width, height, name)


def make_trace(answer: tuple[str, ...] = (" cir", "cle"), *, seed: int = 0, images: int = 1) -> Trace:
    """Random rows over 3 template tokens, the pictures, a question of 4 tokens, 2 template tokens and the answer."""
    question = ("What", " is", " red", "?")
    spans = tuple(
        ImageSpan(3 + i * (ROWS * COLS + 2), ROWS, COLS, (COLS * CELL, ROWS * CELL), (COLS * CELL, ROWS * CELL))
        for i in range(images)
    )
    start = (spans[-1].stop + 1) if spans else 3
    prompt = start + len(question) + 2
    keys = prompt + len(answer)
    tokens = [make_token(text, start + i, start + i, "question") for i, text in enumerate(question)]
    tokens += [make_token(text, prompt + i, prompt + i - 1, "answer") for i, text in enumerate(answer)]
    rng = np.random.default_rng(seed)
    rows = rng.gamma(0.3, size=(len(tokens), LAYERS, HEADS, keys)).astype(np.float32) + 1e-6
    for row, token in zip(rows, tokens, strict=True):
        row[..., token.row_at + 1 :] = 0
    rows /= rows.sum(-1, keepdims=True)
    return Trace(tuple(tokens), rows, spans, (start, start + len(question)))


def make_token(text: str, position: int, row_at: int, part: Part) -> Token:
    runners = tuple(RunnerUp(100 + i, f"other{i}", -3.0 - i) for i in range(5))
    scores = Scores(-0.1, 0.4, runners) if part == "answer" else None
    return Token(7, text, position, row_at, part, scores)


def make_session(request: Request | None = None, *, images: int = 1) -> Session:
    """One run for each of the request's variants; rows differ from variant to variant."""
    if request is None:
        pictures = tuple(make_picture() for _ in range(images))
        request = Request("What is red?", pictures, (Variant(), parse_variant("shortcut"), parse_variant("other@0.5")))
    runs = tuple(
        Run(variant, "circle", "stop", make_trace(seed=i, images=len(request.images)), Timings(0.01, 0.2, 0.03))
        for i, variant in enumerate(request.variants)
    )
    facts = ModelFacts("fake model", LAYERS, HEADS, 1, 16, 2, "float32", "cpu", (("transformers", "5"),))
    return Session(request, facts, runs, "2026-11-23T12:00:00+00:00", ())


class FakeEngine:
    """Yields a few steps of progress and a made session; `closed` is set when an iterator was closed early."""

    model_name = "fake model"

    def __init__(self, *, error: Exception | None = None, steps: int = 3) -> None:
        self.error = error
        self.steps = steps
        self.closed = threading.Event()
        self.requests: list[Request] = []

    def facts(self) -> ModelFacts | None:
        return make_session().model

    def adapters(self) -> tuple[AdapterFacts, ...]:
        return (
            AdapterFacts("other", "", rank=8, alpha=16, modules=("q_proj",), towers=("text",), layers=(0, 1)),
            AdapterFacts("shortcut", "", rank=8, alpha=16, modules=("q_proj",), towers=("text",), layers=(0, 1)),
            AdapterFacts("broken", "", problems=("adapter_config.json is missing.",)),
        )

    def run(self, request: Request) -> Generator[Progress | Session, None, None]:
        check_request(request, Limits())
        self.requests.append(request)
        if self.error:
            raise self.error
        try:
            for step in range(self.steps):
                yield Progress("tokens", request.variants[0].label, step + 1, self.steps, "cir")
            yield make_session(request)
        except GeneratorExit:
            self.closed.set()
            raise
