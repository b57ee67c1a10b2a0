"""The comparison with eager attention: what it finds, what it holds in memory, what it refuses and puts back."""

import gc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from inference.errors import ModelError, SettingsError
from inference.model import check
from inference.model.capture import Recorder
from inference.model.check import check_memory
from inference.model.decode import Conversation
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel
from inference.protocol import Progress
from inference.trace.parse import parse_variant
from inference.trace.request import Generation, Keep, Request
from inference.trace.session import Session
from tests.inference.model.conftest import HEADS, LAYERS, Room, make_picture

QUESTION = "What shape is the red object?"


def make_request(*labels: str, **fields: Any) -> Request:
    variants = tuple(map(parse_variant, labels or ("base",)))
    settings = {"generation": Generation(max_new_tokens=4), "compare_eager": True, **fields}
    return Request(QUESTION, (make_picture(200, 100),), variants, **settings)


def finish(engine: ModelEngine, request: Request, folder: Path) -> Session:
    session = list(engine.run(request, folder))[-1]
    assert isinstance(session, Session)
    return session


@pytest.mark.parametrize("fields", [{}, {"forced_answer": "the circle is red"}, {"keep": Keep(prompt=True)}], ids=str)
def test_each_variants_error_is_told(engine: ModelEngine, room: Room, fields: dict[str, Any]) -> None:
    session = finish(engine, make_request("base", "alpha@-2", **fields), room())
    for run in session.runs:
        assert run.eager_error is not None and 0 < run.eager_error < 1e-5
        note = f"{run.variant.label}: rows differ from eager attention by at most {run.eager_error:.1e}."
        assert note in session.notes


def test_it_changes_nothing_and_is_not_made_unasked(engine: ModelEngine, room: Room) -> None:
    asked = finish(engine, make_request("alpha", expected_answer="red"), room()).runs[0]
    plain = finish(engine, make_request("alpha", expected_answer="red", compare_eager=False), room()).runs[0]
    assert plain.eager_error is None
    assert (asked.answer, asked.expected_logprob) == (plain.answer, plain.expected_logprob)
    assert asked.trace.tokens == plain.trace.tokens
    np.testing.assert_array_equal(asked.trace.rows, plain.trace.rows)


def test_it_comes_after_the_rows(engine: ModelEngine, room: Room) -> None:
    steps = [step for step in engine.run(make_request(), room()) if isinstance(step, Progress)]
    assert [step.stage for step in steps[-2:]] == ["rows", "check"]


@pytest.mark.parametrize(
    ("keep", "is_seen"),
    [
        (Keep(), True),
        (Keep(layers=(2,), heads=(4,)), True),
        (Keep(layers=(1, 3)), False),
        (Keep(heads=(0, 5)), False),
        (Keep(heads=()), False),
        (Keep(answer=False), False),
    ],
    ids=str,
)
def test_a_wrong_row_is_found_where_it_is_kept(
    engine: ModelEngine, room: Room, monkeypatch: pytest.MonkeyPatch, keep: Keep, is_seen: bool
) -> None:
    """The row of the last answer token in layer 2, head 4 is off by 0.125 on one key."""
    made = Recorder.layer_rows
    spoilt_at = finish(engine, make_request(), room()).runs[0].trace.tokens[-1].row_at

    def spoilt(self: Recorder, layer: int, positions: Any, **named: Any) -> torch.Tensor:
        rows = made(self, layer, positions, **named)
        if layer == 2 and spoilt_at in positions:
            rows[4, list(positions).index(spoilt_at), 1] += 0.125
        return rows

    monkeypatch.setattr(Recorder, "layer_rows", spoilt)
    error = finish(engine, make_request(keep=keep), room()).runs[0].eager_error
    assert error == pytest.approx(0.125 if is_seen else 0, abs=1e-5)


def test_one_layers_weights_are_held_at_a_time(
    engine: ModelEngine, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[int] = []
    compare = check._layer_error

    def watched(recorder: Recorder, kept: Any, layer: int, eager: torch.Tensor, batch: int) -> float:
        gc.collect()
        whole = (1, *eager.shape)
        alive.append(sum(type(thing) is torch.Tensor and thing.shape == whole for thing in gc.get_objects()))
        return compare(recorder, kept, layer, eager, batch)

    monkeypatch.setattr(check, "_layer_error", watched)
    finish(engine, make_request(), room())
    assert alive == [1] * LAYERS


def test_all_is_put_back_after_an_error(
    loaded: LoadedModel, engine: ModelEngine, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> float:
        assert loaded.text_config._attn_implementation == "eager"
        assert loaded.vision_config._attn_implementation == "sdpa"
        raise ZeroDivisionError

    monkeypatch.setattr(check, "_layer_error", breaks)
    folder, layers = room(), loaded.model.model.language_model.layers
    hooks = [dict(layer.self_attn._forward_hooks) for layer in layers]
    with pytest.raises(ZeroDivisionError):
        finish(engine, make_request(), folder)
    assert loaded.text_config._attn_implementation == "sdpa"
    assert [dict(layer.self_attn._forward_hooks) for layer in layers] == hooks
    assert not (folder / "session.json").exists()


def test_numbers_that_are_not_finite_are_refused(
    loaded: LoadedModel, engine: ModelEngine, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Conversation.read_again

    def overflow(self: Conversation, ids: list[int]) -> None:
        weight = loaded.model.model.language_model.layers[3].self_attn.q_norm.weight
        before = weight.detach().clone()
        with torch.no_grad():
            weight.fill_(float("inf"))
            try:
                read(self, ids)
            finally:
                weight.copy_(before)

    monkeypatch.setattr(Conversation, "read_again", overflow)
    with pytest.raises(ModelError, match="finite numbers, got others in layer 3: ask without the comparison"):
        finish(engine, make_request(), room())


def test_what_would_not_fit_is_refused_before_the_model_runs(
    engine: ModelEngine, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the model ran")

    monkeypatch.setattr(Conversation, "__init__", never)
    monkeypatch.setattr(check, "free_bytes", lambda device: 100_000)
    with pytest.raises(SettingsError) as caught:
        finish(engine, make_request(), room())
    assert "got 0.0 GB: lower max_pixels or the number of answer tokens, or ask without the comparison" in str(
        caught.value
    )


def test_the_room_it_takes_is_four_times_all_heads_rows(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 4 * HEADS * 1000**2 * 4
    monkeypatch.setattr(check, "free_bytes", lambda device: needed)
    check_memory(loaded, 1000)
    with pytest.raises(SettingsError, match=r"Expected 0\.1 GB of free memory to compare 1,001 tokens"):
        check_memory(loaded, 1001)


def test_free_memory_is_the_devices_own(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=123))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 5000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 700)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 400)
    assert check.free_bytes(torch.device("cpu")) == 123
    assert check.free_bytes(torch.device("cuda")) == 1300
    with pytest.raises(SettingsError):
        check_memory(replace(loaded, device=torch.device("cuda")), 1000)


def test_an_answer_of_nothing_is_compared_too(
    loaded: LoadedModel, engine: ModelEngine, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finish(engine, make_request(), room()).runs[0]
    first = next(token for token in run.trace.tokens if token.part == "answer")
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", first.id)
    error = finish(engine, make_request(), room()).runs[0].eager_error
    assert error is not None and 0 < error < 1e-5
