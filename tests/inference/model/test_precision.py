"""A model of 16 bits run in float32 and given back as it was."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference.catalog import find_adapters
from inference.evidence.floor import floor_requests, pairings
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel, load_model
from inference.model.precision import in_float32
from inference.protocol import Progress
from inference.settings import Settings
from inference.trace import compare
from inference.trace.request import Request
from inference.trace.session import Session
from tests.inference.model.asking import finish, make_request
from tests.inference.model.conftest import Room

ASKED = replace(make_request("base", "alpha"), forced_answer="a red circle")


@pytest.fixture(scope="module")
def rough(base_folder: Path) -> LoadedModel:
    return load_model(str(base_folder), device="cpu", dtype="bfloat16")


@pytest.fixture(scope="module")
def engine(rough: LoadedModel, adapters_folder: Path) -> ModelEngine:
    return ModelEngine(rough, Settings(), lambda: find_adapters(adapters_folder))


def tensors(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def places(model: Any) -> dict[str, tuple[int, torch.dtype]]:
    return {name: (tensor.data_ptr(), tensor.dtype) for name, tensor in tensors(model)}


def test_inside_all_is_float32_and_afterwards_the_same_tensors_are_there(rough: LoadedModel) -> None:
    before = places(rough.model)
    values = {name: tensor.float().clone() for name, tensor in tensors(rough.model)}
    assert torch.bfloat16 in {dtype for _, dtype in before.values()}
    with in_float32(rough) as exact:
        assert exact.dtype == torch.float32 and exact.model is rough.model
        for name, tensor in tensors(rough.model):
            assert tensor.dtype == torch.float32
            assert torch.equal(tensor, values[name])
    assert places(rough.model) == before


def test_it_is_given_back_after_an_error_too(rough: LoadedModel) -> None:
    before = places(rough.model)
    with pytest.raises(KeyError), in_float32(rough):
        raise KeyError
    assert places(rough.model) == before
    assert rough.model.config.text_config._attn_implementation == "sdpa"


def test_a_model_in_float32_is_handed_on(base_folder: Path) -> None:
    loaded = load_model(str(base_folder), device="cpu")
    with in_float32(loaded) as same:
        assert same is loaded


def test_a_run_in_float32_is_that_of_the_rounded_weights(
    room: Room, engine: ModelEngine, rough: LoadedModel, adapters_folder: Path, base_folder: Path
) -> None:
    plain = finish(engine.run(ASKED, room()))
    exact = finish(engine.run(replace(ASKED, full_precision=True), room()))
    assert (plain.model.dtype, exact.model.dtype) == ("bfloat16", "float32")
    assert not any("16" in note for note in exact.notes if note.startswith("The model ran in"))
    rounded = load_model(str(base_folder), device="cpu")
    with torch.no_grad():
        for weight in rounded.model.parameters():
            weight.copy_(weight.bfloat16())
    expected = finish(ModelEngine(rounded, Settings(), lambda: find_adapters(adapters_folder)).run(ASKED, room()))
    # The adapter was rounded as well when it was put onto the model of 16 bits, and is not here.
    for label, tolerance in (("base", 0), ("alpha", 1e-3)):
        np.testing.assert_allclose(
            exact.run(label).trace.means, expected.run(label).trace.means, rtol=0, atol=tolerance
        )
        assert float(np.abs(exact.run(label).trace.means - plain.run(label).trace.means).max()) > 1e-4
    again = finish(engine.run(ASKED, room()))
    for label in ("base", "alpha"):
        np.testing.assert_array_equal(again.run(label).trace.rows, plain.run(label).trace.rows)


def test_adapters_that_come_with_such_a_run_are_in_16_bits_afterwards(
    room: Room, base_folder: Path, adapters_folder: Path
) -> None:
    loaded = load_model(str(base_folder), device="cpu", dtype="bfloat16")
    engine = ModelEngine(loaded, Settings(), lambda: find_adapters(adapters_folder))
    finish(engine.run(replace(ASKED, full_precision=True), room()))
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.bfloat16}


def test_a_floor_has_what_precision_does(room: Room, engine: ModelEngine) -> None:
    session = finish(engine.run(ASKED, room()))
    request = next(one.request for one in floor_requests(session).reruns if one.kind == "precision")
    found = pairings(session, [finish(engine.run(request, room()))], "base", "alpha", slice(0, 3))
    assert [one.kind for one in found] == ["precision"] * 2
    apart = compare.heads_apart(found[0].a, found[0].b, "variation", tokens=found[0].tokens)
    assert 1e-4 < float(apart.max()) < 0.1


def test_a_run_that_is_stopped_gives_the_model_back(room: Room, engine: ModelEngine, rough: LoadedModel) -> None:
    before = places(rough.model)
    request: Request = replace(ASKED, full_precision=True)
    steps: Iterator[Progress | Session] = engine.run(request, room())
    next(steps)
    next(steps)
    assert places(rough.model) != before
    steps.close()  # type: ignore[attr-defined]
    assert places(rough.model) == before
