"""What capturing leaves untouched, puts back and refuses."""

from typing import Any

import pytest
import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from inference.model import capture
from inference.model.capture import IMPLEMENTATION, Recorder, capturing
from inference.model.load import LoadedModel
from tests.inference.model.conftest import HEAD_DIM, HEADS, LAYERS


@pytest.fixture
def padded(loaded: LoadedModel) -> dict[str, torch.Tensor]:
    """Two rows of ids, the first padded on its left."""
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(260, 400, (2, 13), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    return {"input_ids": ids, "attention_mask": mask}


def logits(loaded: LoadedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.inference_mode():
        output: torch.Tensor = loaded.model(**inputs).logits
    return output


def test_watched_logits_are_the_plain_ones_bit_for_bit(loaded: LoadedModel, padded: dict[str, torch.Tensor]) -> None:
    plain = logits(loaded, padded)
    with capturing(loaded.model, from_position=0):
        watched = logits(loaded, padded)
    assert torch.equal(watched, plain)


def test_a_name_without_its_mask_function_would_be_noticed(
    loaded: LoadedModel, padded: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = logits(loaded, padded)
    with capturing(loaded.model, from_position=0):
        monkeypatch.delitem(ALL_MASK_ATTENTION_FUNCTIONS._global_mapping, IMPLEMENTATION)
        unmasked = logits(loaded, padded)
    assert not torch.allclose(unmasked[0, 4:], plain[0, 4:], atol=1e-3)


def test_text_layers_alone_are_watched_and_all_is_put_back(loaded: LoadedModel) -> None:
    text, vision = loaded.text_config, loaded.vision_config
    before = (text._attn_implementation, vision._attn_implementation)
    with capturing(loaded.model, from_position=0):
        assert text._attn_implementation == IMPLEMENTATION
        assert vision._attn_implementation == before[1]
    assert (text._attn_implementation, vision._attn_implementation) == before
    assert not capture._active


def test_all_is_put_back_after_an_error(loaded: LoadedModel) -> None:
    with pytest.raises(ZeroDivisionError), capturing(loaded.model, from_position=0):
        raise ZeroDivisionError
    assert loaded.text_config._attn_implementation == "sdpa"
    assert not capture._active


def test_a_model_is_watched_once_at_a_time(loaded: LoadedModel) -> None:
    with (
        capturing(loaded.model, from_position=0),
        pytest.raises(RuntimeError, match="watched already"),
        capturing(loaded.model, from_position=0),
    ):
        pass
    assert loaded.text_config._attn_implementation == "sdpa"


def test_wanted_queries_alone_are_set_aside(loaded: LoadedModel, padded: dict[str, torch.Tensor]) -> None:
    with capturing(loaded.model, from_position=11, positions=(3, 7)) as recorder:
        logits(loaded, padded)
    kept = [part for parts in recorder._queries.values() for part in parts]
    assert [tuple(part.shape) for part in kept] == [(2, HEADS, 4, HEAD_DIM)] * LAYERS
    assert recorder.rows([3, 12], keys=13).shape == (2, LAYERS, HEADS, 13)
    with pytest.raises(KeyError):
        recorder.rows([5], keys=13)


def test_rows_by_hand() -> None:
    """One layer, two heads on one key head: scores 0, ln 3 and a key in the future, which counts for nothing."""
    recorder = Recorder(from_position=1)
    query = torch.tensor([[[[9.0], [1.0]], [[9.0], [0.0]]]])  # (1, heads, queries, dim)
    key = torch.tensor([[[[0.0], [1.0986123]]]])
    recorder.take(0, query, key, None, 1.0)
    recorder.take(0, torch.full((1, 2, 1, 1), 5.0), torch.tensor([[[[0.0], [1.0986123], [7.0]]]]), None, 1.0)
    rows = recorder.rows([1], keys=4)
    assert rows.shape == (1, 1, 2, 4)
    assert rows[0, 0, 0].tolist() == pytest.approx([0.25, 0.75, 0, 0], abs=1e-6)
    assert rows[0, 0, 1].tolist() == pytest.approx([0.5, 0.5, 0, 0], abs=1e-6)


def test_no_token_gives_no_row(loaded: LoadedModel, padded: dict[str, Any]) -> None:
    with capturing(loaded.model, from_position=12) as recorder:
        logits(loaded, padded)
    assert recorder.rows([], keys=13).shape == (0, LAYERS, HEADS, 13)
