"""Rows of a model in 16 bits: exactly those of its own queries and keys, and near those of its eager attention."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel, load_model
from inference.settings import Settings
from inference.trace.request import Generation, Keep, Request
from inference.trace.session import Session
from tests.inference.model.conftest import HEADS, KV_HEADS, LAYERS, Room, make_picture

# Eager attention rounds each share to 8 or 11 bits, and from layer to layer the two round apart.
TOLERANCES = {"bfloat16": 0.02, "float16": 0.003}
REQUEST = Request(
    "What shape is the red object?",
    (make_picture(200, 100),),
    generation=Generation(max_new_tokens=5),
    keep=Keep(numbers="float32"),
    compare_eager=True,
)


@pytest.fixture(scope="module", params=TOLERANCES)
def rough(request: pytest.FixtureRequest, base_folder: Path) -> LoadedModel:
    return load_model(str(base_folder), device="cpu", dtype=request.param)


def ask(rough: LoadedModel, folder: Path) -> Session:
    session = list(ModelEngine(rough, Settings(), lambda: ()).run(REQUEST, folder))[-1]
    assert isinstance(session, Session)
    return session


def test_rows_lie_near_those_of_eager_attention(rough: LoadedModel, room: Room) -> None:
    session = ask(rough, room())
    tolerance = TOLERANCES[session.model.dtype]
    error = session.runs[0].eager_error
    assert error is not None and 1e-5 < error < tolerance
    assert any(note.startswith(f"The model ran in {session.model.dtype}") for note in session.notes)


def test_rows_are_those_of_the_runs_own_queries_and_keys(
    rough: LoadedModel, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Worked out token by token and head by head from what the attention below was given."""
    run_sdpa = ALL_ATTENTION_FUNCTIONS["sdpa"]
    queries: list[list[torch.Tensor]] = [[] for _ in range(LAYERS)]
    keys: dict[int, torch.Tensor] = {}

    def watched(module: Any, query: torch.Tensor, key: torch.Tensor, *given: Any, **named: Any) -> Any:
        if hasattr(module, "layer_idx"):
            queries[module.layer_idx].append(query[0].float())
            keys[module.layer_idx] = key[0].float()
        return run_sdpa(module, query, key, *given, **named)

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "sdpa", watched)
    trace = ask(rough, room()).runs[0].trace
    scaling = rough.text_config.head_dim**-0.5
    for layer in range(LAYERS):
        whole = torch.cat(queries[layer], dim=1)
        for place, token in enumerate(trace.tokens):
            for head in range(HEADS):
                seen = keys[layer][head // (HEADS // KV_HEADS), : token.row_at + 1]
                row = (seen @ whole[head, token.row_at] * scaling).softmax(-1).numpy()
                ours = trace.rows[place, layer, head]
                np.testing.assert_allclose(ours[: token.row_at + 1], row, atol=1e-6)
                assert not ours[token.row_at + 1 :].any()


def test_the_stored_numbers_do_not_depend_on_the_models(rough: LoadedModel, room: Room) -> None:
    trace = ask(rough, room()).runs[0].trace
    assert {array.dtype for array in (trace.rows, trace.layer_means, trace.head_means, trace.means)} == {
        np.dtype(np.float32)
    }
    np.testing.assert_allclose(trace.rows.sum(-1), 1, atol=1e-5)
