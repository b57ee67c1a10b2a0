"""The trace that is written as it is made: what the slow way makes of full rows, in blocks of bounded size."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DynamicCache

from inference.errors import ModelError, SessionError
from inference.model.capture import Recorder, capturing
from inference.model.load import LoadedModel
from inference.model.rows import Kept, write_rows
from inference.trace.arrays import ArrayFile
from inference.trace.condense import FullRows
from inference.trace.request import Keep, Part
from inference.trace.session import ImageSpan, Token, Trace
from tests.fakes import make_token
from tests.inference.model.conftest import HEADS, LAYERS, Room
from tests.inference.model.reference import ARRAYS, check_trace, recorded_rows

LENGTH = 41
SPANS = (ImageSpan(3, 2, 3, (96, 64), (90, 60)), ImageSpan(11, 1, 5, (160, 32), (500, 100)))
QUESTION = (17, 24)
PROMPT = 37
ONE_TOKEN = HEADS * LENGTH * 4
KEEPS = {
    "all": Keep(numbers="float32"),
    "float16": Keep(),
    "pictures": Keep(keys="pictures", numbers="float32"),
    "some layers": Keep(layers=(3, 1), numbers="float32"),
    "some heads": Keep(heads=(5, 0, 2), numbers="float32"),
    "all heads in another order": Keep(heads=(5, 4, 3, 2, 1, 0), numbers="float32"),
    "little": Keep(layers=(4,), heads=(2,), keys="pictures"),
    "no layer": Keep(layers=(), numbers="float32"),
    "no head": Keep(heads=(), numbers="float32"),
    "whole prompt": Keep(prompt=True, numbers="float32"),
}


def make_tokens(*, prompt: bool) -> tuple[Token, ...]:
    """A question of 7 tokens, an answer of 4 and, on request, all the rest of the prompt."""
    texts = ("What", " is", " the", " red", " thing", "?", "\n")
    parts: dict[int, Part] = dict.fromkeys(range(*QUESTION), "question")
    asked = range(PROMPT) if prompt else range(*QUESTION)
    tokens = [make_token(texts[at % 7], at, at, parts.get(at, "prompt")) for at in asked]
    return (
        *tokens,
        *(make_token(text, PROMPT + i, PROMPT + i - 1, "answer") for i, text in enumerate(("a", "b", ".", "d"))),
    )


def make_kept(keep: Keep) -> Kept:
    return Kept(make_tokens(prompt=keep.prompt), SPANS, QUESTION, LENGTH, keep)


@pytest.fixture(scope="module")
def recorder(loaded: LoadedModel) -> Recorder:
    """A run over random ids: a prompt at once, then token by token; the last token is never fed."""
    ids = torch.randint(260, 400, (1, LENGTH - 1), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode(), capturing(loaded.model, from_position=0) as found:
        cache: Any = DynamicCache(config=loaded.text_config)
        for first, stop in ((0, PROMPT), *((at, at + 1) for at in range(PROMPT, LENGTH - 1))):
            positions = torch.arange(first, stop).expand(3, 1, -1)
            loaded.model(input_ids=ids[:, first:stop], position_ids=positions, past_key_values=cache, use_cache=True)
    return found


def full_rows(recorder: Recorder, kept: Kept) -> FullRows:
    return recorded_rows(recorder, [token.row_at for token in kept.tokens], keys=kept.length)


def finish(recorder: Recorder, kept: Kept, folder: Path, **options: int) -> Trace:
    """The trace, with the steps on the way told right."""
    steps, told = write_rows(recorder, kept, folder, **options), []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            assert [done for done, _ in told] == list(range(told[0][1] + 1))
            assert len({total for _, total in told}) == 1
            trace: Trace = end.value
            return trace


@pytest.mark.parametrize("tokens_at_once", [1, 3, 1000])
@pytest.mark.parametrize("name", KEEPS)
def test_the_trace_is_the_condensed_one(recorder: Recorder, room: Room, name: str, tokens_at_once: int) -> None:
    kept = make_kept(KEEPS[name])
    trace = finish(recorder, kept, room(), block_bytes=tokens_at_once * ONE_TOKEN)
    check_trace(trace, full_rows(recorder, kept), kept.keep, tolerance=1e-6)
    assert (trace.tokens, trace.images, trace.question_span) == (kept.tokens, SPANS, QUESTION)


@pytest.mark.parametrize(
    "kept",
    [
        replace(make_kept(KEEPS["all"]), tokens=()),
        replace(make_kept(KEEPS["all"]), images=()),
        replace(make_kept(KEEPS["pictures"]), images=()),
        replace(make_kept(KEEPS["all"]), tokens=make_tokens(prompt=False)[3:4]),
    ],
    ids=["no token", "no picture", "no picture and no other key", "one token"],
)
def test_little_or_nothing_to_keep(recorder: Recorder, room: Room, kept: Kept) -> None:
    check_trace(finish(recorder, kept, room()), full_rows(recorder, kept), kept.keep, tolerance=1e-6)


def test_blocks_hold_no_more_bytes_than_they_may(
    recorder: Recorder, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    made = Recorder.layer_rows

    def measured(self: Recorder, layer: int, positions: list[int], **named: object) -> torch.Tensor:
        rows = made(self, layer, positions, **named)  # type: ignore[arg-type]
        sizes.append(rows.nbytes)
        return rows

    monkeypatch.setattr(Recorder, "layer_rows", measured)
    finish(recorder, make_kept(KEEPS["whole prompt"]), room(), block_bytes=5 * ONE_TOKEN)
    assert max(sizes) == 5 * ONE_TOKEN
    # 9 blocks of the 41 tokens in each layer; then each layer and head once for the search.
    assert len(sizes) == 9 * LAYERS + LAYERS * HEADS


def test_files_are_plain_arrays_named_for_the_run_and_mapped(recorder: Recorder, room: Room) -> None:
    folder = room()
    trace = finish(recorder, make_kept(KEEPS["float16"]), folder, number=3)
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}-3.npy" for name in ARRAYS)
    for name in ARRAYS:
        mapped = getattr(trace, name)
        assert isinstance(mapped.base, np.memmap) and not mapped.flags.writeable
        np.testing.assert_array_equal(mapped, np.load(folder / f"{name}-3.npy"))


def test_float16_loses_what_it_is_said_to(recorder: Recorder, room: Room) -> None:
    whole, rounded = (finish(recorder, make_kept(KEEPS[name]), room()) for name in ("all", "float16"))
    loss = np.abs(whole.rows - rounded.rows.astype(np.float32))
    assert 0 < loss.max() and (loss <= np.maximum(whole.rows / 2048, 3e-8)).all()
    np.testing.assert_array_equal(whole.sums, rounded.sums)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(room: Room, broken: float) -> None:
    recorder = Recorder(from_position=0)
    for layer in range(3):
        query, key = torch.ones(1, 2, 4, 3), torch.ones(1, 1, 4, 3)
        query[0, 1, 2, 0] = broken if layer == 2 else 1
        recorder.take(layer, query, key, None, 1.0)
    kept = Kept((make_token("a", 1, 1, "question"), make_token("b", 2, 2, "question")), (), (1, 3), 4, Keep())
    with pytest.raises(ModelError) as caught:
        finish(recorder, kept, room())
    assert str(caught.value) == (
        "Expected attention that is made of finite numbers, got others in layer 2: set the dtype to bfloat16 or "
        "float32 (the numbers of some models are too large for float16)."
    )


def test_closing_in_between_shuts_the_files_and_lets_all_go(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[ArrayFile] = []
    enter = ArrayFile.__enter__
    monkeypatch.setattr(ArrayFile, "__enter__", lambda self: opened.append(self) or enter(self))  # type: ignore[func-returns-value]
    recorder = Recorder(from_position=0)
    for layer in range(3):
        recorder.take(layer, torch.randn(1, 2, 4, 3), torch.randn(1, 1, 4, 3), None, 1.0)
    steps = write_rows(recorder, Kept((make_token("a", 1, 1, "question"),), (), (1, 3), 4, Keep()), room())
    assert [next(steps) for _ in range(3)] == [(0, 3), (1, 3), (2, 3)]
    steps.close()
    assert len(opened) == len(ARRAYS) and all(file._file.closed for file in opened)
    held = weakref.ref(recorder)
    del recorder, steps
    gc.collect()
    assert held() is None


def test_a_full_disk_is_told(recorder: Recorder, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(SessionError, match="no space left on device"):
        finish(recorder, make_kept(KEEPS["all"]), room())
