"""The runs of one batch of variants: prompt in, answers, scores and attention rows out.

One variant is a batch of one. Which adapters are on in which row is not its affair; that they are is `Batch.switch`.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float

from inference.model.capture import Recorder, capturing
from inference.model.check import largest_error
from inference.model.decode import (
    Conversation,
    Logits,
    Step,
    force_answer,
    given_words,
    led_words,
    own_words,
    stop_ids,
    write_answers,
)
from inference.model.load import LoadedModel
from inference.model.pictures import Bounds, Pixels
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
    bounds: Bounds
    """Those that the pictures were resized within."""


@dataclass(frozen=True)
class Turn:
    """One variant's turn: its number among the session's runs; seconds spent on its adapters before the run."""

    variant: Variant
    number: int
    adapter_s: float = 0.0


@dataclass
class Spoken:
    """What the base has said, and the logits that each token was chosen from."""

    ids: list[int] = field(default_factory=list)
    logits: list[Float[torch.Tensor, "vocabulary"]] = field(default_factory=list)


@dataclass(frozen=True)
class Batch:
    """Variants that run side by side, and the folder that their rows are written into.

    `switch` puts the adapters of some of them on, a row each. `features`: of the pictures, where they were seen
    before, in `picture_s` seconds; None where the adapters of the only variant take part in seeing. `base`: what the
    base says, for the batches that come after its own.
    """

    turns: tuple[Turn, ...]
    folder: Path
    switch: Callable[[Sequence[Turn]], AbstractContextManager[None]]
    features: Any = None
    picture_s: float = 0.0
    base: Spoken | None = None

    @property
    def base_row(self) -> int | None:
        """The base's place among the rows; None: it is not there."""
        return next((row for row, turn in enumerate(self.turns) if turn.variant.is_base), None)


@dataclass
class _Answer:
    """What one variant wrote so far, token by token."""

    ids: list[int] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)
    finish: str = "length"


def answer(task: Task, batch: Batch) -> Generator[Progress, None, list[Run]]:
    """Progress of one batch's runs, and at last the runs, in the order of its turns.

    Closing it stops within one token and frees what it held.
    """
    request, count = task.request, len(batch.turns)
    positions = _prompt_positions(task.prompt, request.keep)
    started = time.perf_counter()
    conversation = Conversation(task.loaded, task.prompt.ids, task.pixels, batch.features, rows=count)
    with batch.switch(batch.turns):
        with capturing(task.loaded.model, from_position=_first_row(task), positions=positions) as recorder:
            stage: Stage = "picture" if task.pixels and batch.features is None else "tokens"
            for turn in batch.turns:
                yield Progress(stage, turn.variant.label, 0, request.generation.max_new_tokens)
            first = conversation.read_prompt()
            written = yield from _write(task, batch, conversation, first)
        # What was done for all together took each of them an equal part.
        tokens_s = (batch.picture_s + time.perf_counter() - started) / count
        expected = _expected_logprobs(task, conversation, first)
    runs = []
    for row, of_one in enumerate(written):
        run = yield from _read_rows(task, batch, recorder, row, of_one)
        timings = replace(run.timings, tokens_s=tokens_s)
        runs.append(replace(run, timings=timings, expected_logprob=expected[row]))
    return runs


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


def _write(
    task: Task, batch: Batch, conversation: Conversation, first: Logits
) -> Generator[Progress, None, list[_Answer]]:
    request = task.request
    written = [_Answer() for _ in batch.turns]
    given = _given_ids(task, batch)
    limit = request.generation.max_new_tokens if given is None else len(given)
    alike = [True] * len(written)
    for number, (said, logits) in enumerate(_steps(task, batch, conversation, first, given)):
        base_token, base_logits = _base_step(batch, said, logits, number)
        for row, (turn, of_one) in enumerate(zip(batch.turns, written, strict=True)):
            token = said[row]
            if token is None:
                continue
            base = base_logits if alike[row] else None
            of_one.ids.append(token)
            of_one.scores.append(score_token(logits[row], token, lambda other: _text(task, [other]), base))
            alike[row] = alike[row] and token == base_token
            if batch.base is not None and row == batch.base_row:
                batch.base.ids.append(token)
                batch.base.logits.append(logits[row].clone())
            yield Progress("tokens", turn.variant.label, len(of_one.ids), limit, _text(task, of_one.ids))
    for turn, of_one in zip(batch.turns, written, strict=True):
        is_own = request.forced_answer is None and (request.words == "own" or turn.variant.is_base)
        of_one.finish = ("length" if len(of_one.ids) == limit else "stop") if is_own else "forced"
    return written


def _given_ids(task: Task, batch: Batch) -> list[int] | None:
    """The words that are known before the batch is run."""
    if task.request.forced_answer is not None:
        return encode_text(task.loaded.processor, task.request.forced_answer)
    if task.request.words == "base" and batch.base is not None and batch.base_row is None:
        return batch.base.ids
    return None


def _steps(
    task: Task, batch: Batch, conversation: Conversation, first: Logits, given: list[int] | None
) -> Iterator[tuple[list[int | None], Step]]:
    """What each row says at each step, and the logits that it comes from."""
    request, rows = task.request, len(batch.turns)
    if given is not None and request.forced_answer is not None:
        logits = force_answer(conversation, first, given)
        for number, token in enumerate(given):
            yield [token] * rows, logits[:, number]
        return
    stops, limit = stop_ids(task.loaded), request.generation.max_new_tokens
    if given is not None:
        # In as many passes as the base took for them, so that what changes nothing differs by nothing.
        choose, limit = given_words(given, rows), len(given)
    elif request.words == "base" and batch.base_row is not None:
        choose = led_words(request.generation, stops, rows, batch.base_row)
    else:
        choose = own_words(request.generation, stops, rows)
    yield from write_answers(conversation, first, choose, limit=limit, filler=min(stops))


def _base_step(
    batch: Batch, said: Sequence[int | None], logits: Step, number: int
) -> tuple[int | None, Float[torch.Tensor, "vocabulary"] | None]:
    """What the base says at this step and the logits that it comes from; Nones where it is not there, or has ended."""
    if batch.base_row is not None:
        token = said[batch.base_row]
        return token, None if token is None else logits[batch.base_row]
    if batch.base is None or number >= len(batch.base.ids):
        return None, None
    return batch.base.ids[number], batch.base.logits[number]


def _read_rows(
    task: Task, batch: Batch, recorder: Recorder, row: int, written: _Answer
) -> Generator[Progress, None, Run]:
    """Progress of one variant's rows, and its run; without what was measured for the whole batch."""
    turn, started = batch.turns[row], time.perf_counter()
    parts = split_thinking([_text(task, [token]) for token in written.ids], opened=task.prompt.opens_thinking)
    kept = _kept(task, written, parts, _prompt_positions(task.prompt, task.request.keep))
    text = _text(task, written.ids)
    writing = write_rows(recorder, kept, batch.folder, number=turn.number, batch=row)
    trace = yield from _told(writing, turn.variant.label, text)
    timings = Timings(turn.adapter_s, 0.0, time.perf_counter() - started)
    eager_error = None
    if task.request.compare_eager:
        yield Progress("check", turn.variant.label)
        again = Conversation(task.loaded, task.prompt.ids, task.pixels, batch.features)
        with batch.switch([turn]):
            eager_error = largest_error(task.loaded.model, again, recorder, kept, written.ids, batch=row)
    thinking, said = _split(task, written.ids, parts)
    return Run(turn.variant, said, written.finish, trace, timings, thinking=thinking, eager_error=eager_error)


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


def _told(writing: Generator[tuple[int, int], None, Trace], label: str, text: str) -> Generator[Progress, None, Trace]:
    while True:
        try:
            done, total = next(writing)
        except StopIteration as end:
            trace: Trace = end.value
            return trace
        yield Progress("rows", label, done, total, text)


def _first_row(task: Task) -> int | None:
    """The position that predicts the answer's first token; None if no row of the answer is kept."""
    keep = task.request.keep
    return len(task.prompt.ids) - 1 if keep.answer or keep.thinking else None


def _prompt_positions(prompt: Prompt, keep: Keep) -> range:
    if keep.prompt:
        return range(len(prompt.ids))
    return range(*prompt.question_span) if keep.question else range(0)


def _expected_logprobs(task: Task, conversation: Conversation, first: Logits) -> list[float | None]:
    if task.request.expected_answer is None:
        return [None] * len(first)
    ids = encode_text(task.loaded.processor, task.request.expected_answer)
    conversation.rewind()
    return [sum_logprob(of_one, ids) for of_one in force_answer(conversation, first, ids)]


def _split(task: Task, ids: Sequence[int], parts: Sequence[Part]) -> tuple[str, str]:
    """The reasoning and the answer as texts."""
    thinking = [token for token, part in zip(ids, parts, strict=True) if part == "thinking"]
    said = [token for token, part in zip(ids, parts, strict=True) if part == "answer"]
    return strip_tags(_text(task, thinking)), _text(task, said).strip()


def _text(task: Task, ids: Sequence[int]) -> str:
    text: str = task.loaded.processor.tokenizer.decode(
        list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    return text
