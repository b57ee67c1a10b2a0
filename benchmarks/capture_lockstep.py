"""The run without capture and the run with it side by side, pass by pass, so that both meet the same busy moments.

A machine that slows down for seconds at a time makes whole runs, one after the other, differ by far more than capture
costs. Here each pass of one run is made right beside the same pass of the other, and times are added up for each. The
two runs have a copy of the model each, and change them from round to round. Knows no table.
"""

import copy
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.capture_ways import watched, write
from benchmarks.shapes import Question, free_bytes
from inference.model.capture import capturing
from inference.model.decode import Conversation, see_pictures
from inference.model.load import LoadedModel


def fits_twice(loaded: LoadedModel) -> bool:
    """Whether there is room for a second copy of the model."""
    weights = sum(weight.numel() * weight.element_size() for weight in loaded.model.parameters())
    return bool(1.5 * weights < free_bytes(loaded.device))


def lockstep_ratios(loaded: LoadedModel, question: Question, *, rounds: int) -> list[float]:
    """Seconds with capture over seconds without, of each round; a first round warms up and is not told."""
    pair = (loaded, replace(loaded, model=copy.deepcopy(loaded.model)))
    ratios = []
    for number in range(rounds + 1):
        with tempfile.TemporaryDirectory(prefix="lora-attention-capture-") as folder:
            plain = _passes(pair[number % 2], question)
            ours = _watched_passes(pair[1 - number % 2], question, Path(folder))
            seconds = _side_by_side([plain, ours], loaded.device)
        ratios.append(seconds[1] / seconds[0])
    return ratios[1:]


def _side_by_side(runs: list[Iterator[None]], device: torch.device) -> list[float]:
    """The seconds that each run took, when they take turns step by step until both have ended."""
    seconds = [0.0] * len(runs)
    going, turn = set(range(len(runs))), 0
    while going:
        turn += 1
        # Each leads in every second step: the first of two finds the caches as the other left them.
        for number in sorted(going, reverse=turn % 2 == 0):
            started = _now(device)
            if next(runs[number], _ENDED) is _ENDED:
                going.discard(number)
            seconds[number] += _now(device) - started
    return seconds


_ENDED = object()


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _passes(loaded: LoadedModel, question: Question) -> Iterator[None]:
    """One run, which pauses after the picture, after the prompt, and after each token."""
    features = see_pictures(loaded, question.pixels)
    yield
    conversation = Conversation(loaded, question.ids, question.pixels, features)
    conversation.read_prompt()
    yield
    for token in question.answer[:-1]:
        conversation.feed([token])
        yield


def _watched_passes(loaded: LoadedModel, question: Question, folder: Path) -> Iterator[None]:
    """The same with capture; its last step works the rows out and writes them."""
    with capturing(loaded.model, **watched(question)) as recorder:
        yield from _passes(loaded, question)
    write(recorder, question, folder)
    yield
