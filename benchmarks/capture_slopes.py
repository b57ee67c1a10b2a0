"""How the rows alone grow with the length of the sequence, at the same kept tokens: no model runs.

Queries and keys are drawn in the shape of a model's layers and handed to the product's own recorder as the layers hand
them; then the rows are worked out and written.
"""

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float

from benchmarks.capture_rounds import slope
from benchmarks.capture_ways import cost_of, kept_tokens, watched, write
from benchmarks.shapes import Question, Shape, ask, cells_for, config_of
from inference.model.capture import Recorder

LENGTHS = (600, 1_200, 2_400, 4_800, 9_600)
REPEATS = 5


@dataclass(frozen=True)
class Alone:
    """At one length: the seconds of working out and writing the rows; the bytes of the queries that were set aside, of
    what the work held in memory at most, and of the files."""

    length: int
    seconds: float
    queries: int
    memory: int
    files: int

    @property
    def bytes(self) -> int:
        return self.queries + self.memory + self.files


def measure_alone(shape: Shape, device: torch.device, lengths: Sequence[int] = LENGTHS) -> list[Alone]:
    """One item a length, medians of `REPEATS`; the first length is done once more before, to warm up."""
    done = [_measure(shape, length, device) for length in (lengths[0], *lengths)]
    return done[1:]


def slopes(done: Sequence[Alone]) -> tuple[float, float]:
    """The powers of the length that bytes and seconds grow with."""
    lengths = [one.length for one in done]
    return slope(lengths, [one.bytes for one in done]), slope(lengths, [one.seconds for one in done])


def _measure(shape: Shape, length: int, device: torch.device) -> Alone:
    question = ask(config_of(shape), cells_for(length), device=device)
    recorder = _heard(shape, question, device)
    seconds, memory, files = [], [], 0
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory(prefix="lora-attention-capture-") as folder:
            cost, _ = cost_of(partial(write, recorder, question, Path(folder)), device)
            files = sum(path.stat().st_size for path in Path(folder).iterdir())
        seconds.append(cost.seconds)
        memory.append(cost.peak)
    queries = len(kept_tokens(question)) * shape.layers * shape.heads * shape.head_dim * torch.float32.itemsize
    return Alone(question.length, statistics.median(seconds), queries, int(statistics.median(memory)), files)


def _heard(shape: Shape, question: Question, device: torch.device) -> Recorder:
    """A recorder that has heard a prompt and an answer, token by token, in every layer."""
    recorder = Recorder(**watched(question))
    prompt = len(question.ids)
    passes = [(0, prompt), *((at, at + 1) for at in range(prompt, question.length - 1))]
    generator = torch.Generator(device).manual_seed(0)

    def drawn(heads: int, length: int) -> Float[torch.Tensor, "1 heads length dim"]:
        return torch.randn(1, heads, length, shape.head_dim, generator=generator, device=device)

    keys = [drawn(shape.kv_heads, question.length) for _ in range(shape.layers)]
    for start, stop in passes:
        for layer in range(shape.layers):
            recorder.take(layer, drawn(shape.heads, stop - start), keys[layer][:, :, :stop], None, shape.head_dim**-0.5)
    return recorder
