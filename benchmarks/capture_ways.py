"""The ways of one run that are compared: without capture, with ours, and with eager attention that keeps everything.

All of them read the same prompt and are fed the same answer token by token through the product's own conversation; the
text layers' attention differs, the vision tower always keeps its fast one. Knows no figures and no table.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.capture_inline import capturing_inline
from benchmarks.memory import Company, Peak
from benchmarks.shapes import Question
from inference.model.capture import Recorder, capturing
from inference.model.decode import Conversation, see_pictures
from inference.model.load import LoadedModel
from inference.model.rows import Kept, write_rows
from inference.trace.request import Keep, Numbers
from inference.trace.session import Token, Trace

Rows = Float[np.ndarray, "tokens layers heads keys"]
Way = Callable[[LoadedModel, Question, Path], tuple[int, ...]]
"""One run, with its files in the folder; gives the tokens that the model would choose."""


@dataclass(frozen=True)
class Cost:
    """Seconds of one run, the most bytes in use beyond what was in use before, and the share of the cores' time that
    other programs had meanwhile."""

    seconds: float
    peak: int
    company: float = 0.0


def cost_of(work: Callable[[], Any], device: torch.device) -> tuple[Cost, Any]:
    """What this work takes, and what it gives back."""
    peak = Peak(device)
    peak.start()
    company = Company()
    with _clock(device) as seconds:
        given = work()
    return Cost(seconds[0], peak.extra(), company.share()), given


def plain(loaded: LoadedModel, question: Question, folder: Path) -> tuple[int, ...]:
    """The run without capture."""
    return converse(loaded, question)


def eager(loaded: LoadedModel, question: Question, folder: Path) -> tuple[int, ...]:
    """The run that holds all attentions of every pass in full until it ends, as tools do today."""
    with attending_eagerly(loaded) as (watched_model, _):
        return converse(watched_model, question)


def ours(loaded: LoadedModel, question: Question, folder: Path) -> tuple[int, ...]:
    """The run as the product does it: queries are set aside, and their rows worked out and written after it."""
    features = see_pictures(loaded, question.pixels)
    with capturing(loaded.model, **watched(question)) as recorder:
        chosen = converse(loaded, question, features)
    write(recorder, question, folder)
    return chosen


def inline(loaded: LoadedModel, question: Question, folder: Path) -> tuple[int, ...]:
    """The run whose rows are worked out while each layer's attention is called, and written after it."""
    features = see_pictures(loaded, question.pixels)
    with capturing_inline(loaded.model, **watched(question)) as recorder:
        chosen = converse(loaded, question, features)
    write(recorder, question, folder)
    return chosen


WAYS: dict[str, Way] = {"plain": plain, "ours": ours, "eager": eager, "inline": inline}


def watched(question: Question) -> dict[str, Any]:
    """Which queries a recorder is to set aside."""
    return {"from_position": len(question.ids) - 1, "positions": range(*question.question_span)}


def write(
    recorder: Recorder, question: Question, folder: Path, *, numbers: Numbers = "float16", number: int = 0
) -> Trace:
    """The trace, all layers and heads over all keys, once it is on the disk."""
    kept = Kept(kept_tokens(question), question.images, question.question_span, question.length, Keep(numbers=numbers))
    writing = write_rows(recorder, kept, folder, number=number)
    while True:
        try:
            next(writing)
        except StopIteration as stop:
            trace: Trace = stop.value
            return trace


def kept_tokens(question: Question) -> tuple[Token, ...]:
    """The question's tokens, then the answer's."""
    asked = [Token(question.ids[at], "word", at, at, "question") for at in range(*question.question_span)]
    prompt = len(question.ids)
    said = [Token(token, "word", prompt + at, prompt + at - 1, "answer") for at, token in enumerate(question.answer)]
    return (*asked, *said)


def converse(loaded: LoadedModel, question: Question, features: Any = None) -> tuple[int, ...]:
    """The token that the model would choose at each step, while it is fed the given answer.

    `features`: what `see_pictures` gave, if the picture was seen before.
    """
    conversation = Conversation(loaded, question.ids, question.pixels, features)
    chosen = [int(conversation.read_prompt()[-1].argmax())]
    for token in question.answer[:-1]:
        chosen.append(int(conversation.feed([token])[-1].argmax()))
    return tuple(chosen)


@contextmanager
def attending_eagerly(loaded: LoadedModel) -> Iterator[tuple[LoadedModel, list[tuple[torch.Tensor, ...]]]]:
    """The model with eager attention in its text layers, and what `output_attentions=True` gives of each pass so far:
    for each layer (batch, heads, queries, keys)."""
    watching = _Watching(loaded.model)
    before = loaded.text_config._attn_implementation
    loaded.model.set_attn_implementation({"text_config": "eager"})
    try:
        yield replace(loaded, model=watching), watching.attentions
    finally:
        loaded.model.set_attn_implementation({"text_config": before})


def eager_rows(attentions: Sequence[Sequence[torch.Tensor]], positions: Sequence[int], keys: int) -> Rows:
    """The rows of these positions taken out of the full attentions, 0 where a key was not there yet."""
    layers, heads = len(attentions[0]), attentions[0][0].shape[1]
    rows = np.zeros((len(positions), layers, heads, keys), np.float32)
    stops = np.cumsum([step[0].shape[2] for step in attentions])
    for token, position in enumerate(positions):
        step = int(np.searchsorted(stops, position, side="right"))
        for layer, weights in enumerate(attentions[step]):
            row = weights[0, :, position - int(stops[step])].float().cpu().numpy()  # From the end: negative.
            rows[token, layer, :, : row.shape[-1]] = row
    return rows


class _Watching:
    """The model, asked for its attentions in every pass; these are kept."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.attentions: list[tuple[torch.Tensor, ...]] = []

    def __call__(self, **inputs: Any) -> Any:
        output = self._model(**inputs, output_attentions=True)
        self.attentions.append(output.attentions)
        return output

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


@contextmanager
def _clock(device: torch.device) -> Iterator[list[float]]:
    """The seconds that the block took, once it has ended: by the device's own events where it is a GPU."""
    seconds: list[float] = []
    if device.type != "cuda":
        started = time.perf_counter()
        yield seconds
        seconds.append(time.perf_counter() - started)
        return
    event: Any = torch.cuda.Event
    first, last = event(enable_timing=True), event(enable_timing=True)
    torch.cuda.synchronize(device)
    first.record()
    yield seconds
    last.record()
    torch.cuda.synchronize(device)
    seconds.append(first.elapsed_time(last) / 1000)
