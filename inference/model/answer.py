"""One variant's run: prompt in, answer, scores and attention rows out. Whichever adapters are on is not its affair."""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from inference.model.capture import Recorder, capturing
from inference.model.check import largest_error
from inference.model.decode import Conversation, Logits, force_answer, stop_ids, write_answer
from inference.model.load import LoadedModel
from inference.model.pictures import Pixels
from inference.model.prompt import Prompt, encode_text
from inference.model.rows import Kept, write_rows
from inference.model.scores import score_token, split_thinking, strip_tags, sum_logprob
from inference.protocol import Progress, Stage
from inference.trace.request import Keep, Part, Request, Variant
from inference.trace.session import ImageSpan, ModelFacts, Run, Scores, Timings, Token, Trace
from inference.trace.size import Extent


@dataclass(frozen=True)
class Task:
    """What is the same for all variants of one request."""

    loaded: LoadedModel
    request: Request
    prompt: Prompt
    pixels: Pixels | None
    images: tuple[ImageSpan, ...]


@dataclass(frozen=True)
class Turn:
    """One variant's turn: its number among the session's runs, and the folder that its rows are written into.

    `features`: of the pictures, where they were seen before; None where the variant's own adapters take part in
    seeing. The times are those spent before the run, on its adapters and on these features.
    """

    variant: Variant
    number: int
    folder: Path
    features: Any = None
    adapter_s: float = 0.0
    picture_s: float = 0.0


@dataclass
class _Answer:
    """What was written so far, token by token."""

    ids: list[int] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)
    finish: str = "length"


def answer(task: Task, turn: Turn) -> Generator[Progress, None, Run]:
    """Progress of one variant's run, and at last the run; closing it stops within one token and frees what it held."""
    label, request = turn.variant.label, task.request
    conversation = Conversation(task.loaded, task.prompt.ids, task.pixels, turn.features)
    positions = _prompt_positions(task.prompt, request.keep)
    started = time.perf_counter()
    with capturing(task.loaded.model, from_position=_first_row(task), positions=positions) as recorder:
        stage: Stage = "picture" if task.pixels and turn.features is None else "tokens"
        yield Progress(stage, label, 0, request.generation.max_new_tokens)
        first = conversation.read_prompt()
        written = yield from _write(task, conversation, first, label)
    tokens_s = turn.picture_s + time.perf_counter() - started
    started = time.perf_counter()
    parts = split_thinking([_text(task, [token]) for token in written.ids], opened=task.prompt.opens_thinking)
    kept = _kept(task, written, parts, positions)
    trace = yield from _write_trace(task, turn, recorder, kept, _text(task, written.ids))
    timings = Timings(turn.adapter_s, tokens_s, time.perf_counter() - started)
    eager_error = None
    if request.compare_eager:
        yield Progress("check", label)
        eager_error = largest_error(task.loaded.model, conversation, recorder, kept, written.ids)
    expected = _expected_logprob(task, conversation, first)
    thinking, said = _split(task, written.ids, parts)
    return Run(turn.variant, said, written.finish, trace, timings, expected, thinking, eager_error)


def extent(task: Task, facts: ModelFacts) -> Extent:
    """What the runs may grow to."""
    request, prompt = task.request, task.prompt
    written = request.generation.max_new_tokens
    if request.forced_answer is not None:
        written = len(encode_text(task.loaded.processor, request.forced_answer))
    positions = _prompt_positions(prompt, request.keep)
    said = _prompt_positions(prompt, replace(request.keep, prompt=False))
    return Extent(
        tokens=len(positions) + (written if request.keep.answer or request.keep.thinking else 0),
        length=len(prompt.ids) + written,
        picture_tokens=sum(span.stop - span.start for span in task.images),
        pictures=len(task.images),
        layers=facts.layers,
        heads=facts.heads,
        variants=len(request.variants),
        template_tokens=len(positions) - len(said),
        answer_tokens=0 if request.forced_answer is not None else written,
    )


def _write(task: Task, conversation: Conversation, first: Logits, label: str) -> Generator[Progress, None, _Answer]:
    request, written = task.request, _Answer()
    if request.forced_answer is not None:
        ids = encode_text(task.loaded.processor, request.forced_answer)
        logits = force_answer(conversation, first, ids)
        written = _Answer(ids, [_score(task, row, token) for row, token in zip(logits, ids, strict=True)], "forced")
        yield Progress("tokens", label, len(ids), len(ids), request.forced_answer)
        return written
    limit = request.generation.max_new_tokens
    for token, logits in write_answer(conversation, first, request.generation, stop_ids(task.loaded)):
        written.ids.append(token)
        written.scores.append(_score(task, logits[-1], token))
        yield Progress("tokens", label, len(written.ids), limit, _text(task, written.ids))
    written.finish = "length" if len(written.ids) == limit else "stop"
    return written


def _kept(task: Task, written: _Answer, parts: Sequence[Part], positions: Sequence[int]) -> Kept:
    prompt, keep = task.prompt, task.request.keep
    start, stop = prompt.question_span
    tokens = [
        Token(prompt.ids[at], _text(task, [prompt.ids[at]]), at, at, "question" if start <= at < stop else "prompt")
        for at in positions
    ]
    for index, (token, scores, part) in enumerate(zip(written.ids, written.scores, parts, strict=True)):
        if keep.thinking if part == "thinking" else keep.answer:
            at = len(prompt.ids) + index
            tokens.append(Token(token, _text(task, [token]), at, at - 1, part, scores))
    return Kept(tuple(tokens), task.images, prompt.question_span, len(prompt.ids) + len(written.ids), keep)


def _write_trace(task: Task, turn: Turn, recorder: Recorder, kept: Kept, text: str) -> Generator[Progress, None, Trace]:
    steps = write_rows(recorder, kept, turn.folder, number=turn.number)
    while True:
        try:
            done, total = next(steps)
        except StopIteration as end:
            trace: Trace = end.value
            return trace
        yield Progress("rows", turn.variant.label, done, total, text)


def _first_row(task: Task) -> int | None:
    """The position that predicts the answer's first token; None if no row of the answer is kept."""
    keep = task.request.keep
    return len(task.prompt.ids) - 1 if keep.answer or keep.thinking else None


def _prompt_positions(prompt: Prompt, keep: Keep) -> range:
    if keep.prompt:
        return range(len(prompt.ids))
    return range(*prompt.question_span) if keep.question else range(0)


def _expected_logprob(task: Task, conversation: Conversation, first: Logits) -> float | None:
    if task.request.expected_answer is None:
        return None
    ids = encode_text(task.loaded.processor, task.request.expected_answer)
    conversation.rewind()
    return sum_logprob(force_answer(conversation, first, ids), ids)


def _split(task: Task, ids: Sequence[int], parts: Sequence[Part]) -> tuple[str, str]:
    """The reasoning and the answer as texts."""
    thinking = [token for token, part in zip(ids, parts, strict=True) if part == "thinking"]
    said = [token for token, part in zip(ids, parts, strict=True) if part == "answer"]
    return strip_tags(_text(task, thinking)), _text(task, said).strip()


def _score(task: Task, logits: torch.Tensor, token: int) -> Scores:
    return score_token(logits, token, lambda other: _text(task, [other]))


def _text(task: Task, ids: Sequence[int]) -> str:
    text: str = task.loaded.processor.tokenizer.decode(
        list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    return text
