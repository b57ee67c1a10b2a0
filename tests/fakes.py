"""Hand-made sessions and an engine without a model, for tests of everything that stands behind the engine."""

import io
import threading
from collections.abc import Generator
from pathlib import Path

import numpy as np
from PIL import Image

from inference.evidence.trials import Block, Erase, Exchange, Findings, Outcome, Probe, Shares, Switch, Trial, Watch
from inference.mini import ADAPTERS_DIR, BASE_DIR
from inference.protocol import AdapterFacts, Progress
from inference.trace.condense import condense
from inference.trace.files import load_session, write_session
from inference.trace.parse import parse_variant
from inference.trace.request import Keep, Limits, Part, Picture, Request, Variant
from inference.trace.session import ImageSpan, ModelFacts, Run, RunnerUp, Scores, Session, Timings, Token, Trace
from inference.trace.size import Extent, describe_size, kept_bytes
from inference.trace.validate import check_request

LAYERS, HEADS, ROWS, COLS = 5, 3, 7, 11
CELL = 32
RED_CELLS = frozenset(row * COLS + col for row in (2, 3) for col in (3, 4, 5))
"""The cells that the red square of a made picture lies in."""


def make_picture(width: int = COLS * CELL, height: int = ROWS * CELL, name: str = "made.png") -> Picture:
    """A picture with a red square on grey."""
    pixels = np.full((height, width, 3), 200, np.uint8)
    pixels[height // 4 : height // 2, width // 4 : width // 2] = (220, 30, 30)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return Picture(buffer.getvalue(), width, height, name)


def make_trace(
    answer: tuple[str, ...] = (" cir", "cle"), *, seed: int = 0, images: int = 1, keep: Keep | None = None
) -> Trace:
    """Random rows over 3 template tokens, the pictures, a question of 4 tokens, 2 template tokens and the answer.

    Question and answer look; `keep` None: all of their rows are kept, in float32.
    """
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
    question_span = (start, start + len(question))
    return condense(rows, tokens=tuple(tokens), images=spans, question_span=question_span, keep=keep)


def make_token(text: str, position: int, row_at: int, part: Part) -> Token:
    runners = tuple(RunnerUp(100 + i, f"other{i}", -3.0 - i) for i in range(5))
    scores = Scores(-0.1, 0.4, runners) if part == "answer" else None
    return Token(7, text, position, row_at, part, scores)


def make_session(request: Request | None = None, *, images: int = 1) -> Session:
    """One run for each of the request's variants, in memory; rows differ from variant to variant.

    Its own request asks for float32, so that maps, means and sums can be compared closely.
    """
    if request is None:
        pictures = tuple(make_picture() for _ in range(images))
        variants = (Variant(), parse_variant("shortcut"), parse_variant("other@0.5"))
        request = Request("What is red?", pictures, variants, keep=Keep(numbers="float32"))
    made = [make_trace(seed=i, images=len(request.images), keep=request.keep) for i in range(len(request.variants))]
    runs = tuple(
        Run(variant, "circle", "stop", trace, Timings(0.01, 0.2, 0.03))
        for variant, trace in zip(request.variants, made, strict=True)
    )
    facts = ModelFacts("fake model", LAYERS, HEADS, 1, 16, 2, "float32", "cpu", (("transformers", "5"),))
    return Session(request, facts, runs, "2026-11-23T12:00:00+00:00", ())


def extent_of(session: Session) -> Extent:
    """What a session has grown to."""
    trace = session.runs[0].trace
    cells = sum(span.rows * span.cols for span in trace.images)
    _, layers, heads, _ = trace.sums.shape
    return Extent(len(trace.tokens), trace.length, cells, len(trace.images), layers, heads, len(session.runs))


class FakeEngine:
    """Yields a few steps of progress and a made session, written into the folder as a real engine's is.

    To it, answers depend on the red square alone.

    `closed` is set when an iterator was closed early.
    """

    model_name = "fake model"

    def __init__(self, *, error: Exception | None = None, steps: int = 3) -> None:
        self.error = error
        self.steps = steps
        self.closed = threading.Event()
        self.requests: list[Request] = []
        self.probes: list[Probe] = []

    def facts(self) -> ModelFacts | None:
        return make_session().model

    def adapters(self) -> tuple[AdapterFacts, ...]:
        return (
            _facts("other"),
            _facts("shortcut"),
            AdapterFacts("broken", "", problems=("adapter_config.json is missing.",)),
        )

    def base_folder(self) -> Path | None:
        return BASE_DIR

    def run(self, request: Request, folder: Path) -> Generator[Progress | Session, None, None]:
        check_request(request, Limits())
        self.requests.append(request)
        if self.error:
            raise self.error
        session = make_session(request)
        extent = extent_of(session)
        try:
            yield Progress("size", total=kept_bytes(extent, request.keep), text=describe_size(extent, request.keep))
            for step in range(self.steps):
                yield Progress("tokens", request.variants[0].label, step + 1, self.steps, "cir")
            write_session(session, folder)
            yield load_session(folder)
        except GeneratorExit:
            self.closed.set()
            raise

    def probe(self, probe: Probe) -> Generator[Progress | Findings, None, None]:
        self.probes.append(probe)
        if self.error:
            raise self.error
        try:
            for number in range(self.steps):
                yield Progress("trials", done=number + 1, total=self.steps)
            outcomes = tuple(_outcome(trial, probe.watch) for trial in probe.trials)
            shares = tuple(Shares(0.5, 0.2, 0.25, 0.05, 0.3) for _ in probe.reasons)
            yield Findings(outcomes, shares, self.steps, 0.1)
        except GeneratorExit:
            self.closed.set()
            raise


def _outcome(trial: Trial, watch: Watch | None) -> Outcome:
    """The first word costs 6 nats if all of the red square is gone, the less the less of it; adapters add a little."""
    change, logprobs = trial.change, [-0.1] * len(trial.said)
    if isinstance(change, Block):
        logprobs[0] -= 6 * len(RED_CELLS.intersection(change.cells)) / len(RED_CELLS)
    elif isinstance(change, Erase):
        left, top, right, bottom = (number / CELL for number in change.box)
        inside = [cell for cell in RED_CELLS if left <= cell % COLS < right and top <= cell // COLS < bottom]
        logprobs[0] -= 6 * len(inside) / len(RED_CELLS)
    elif isinstance(change, Switch | Exchange):
        logprobs[0] -= 1.5
    if not trial.variant.is_base:
        logprobs[0] -= 0.05
    grid = None
    if watch is not None:
        grid = np.full((ROWS, COLS), 0.5 / (ROWS * COLS), np.float32)
    return Outcome(tuple(logprobs), grid)


def _facts(name: str) -> AdapterFacts:
    """Of the miniature's adapter of that name: its files, and what they are said to hold here."""
    folder = str(ADAPTERS_DIR / name)
    return AdapterFacts(name, folder, rank=8, alpha=16, modules=("q_proj",), towers=("text",), layers=(0, 1))
