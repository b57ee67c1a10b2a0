"""What is set aside, and what capturing leaves untouched, puts back and refuses."""

import gc
import weakref

import pytest
import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from inference.errors import ModelError
from inference.model import capture
from inference.model.capture import IMPLEMENTATIONS, Recorder, capturing
from inference.model.load import LoadedModel
from tests.inference.model.conftest import HEAD_DIM, HEADS, IDS, KV_HEADS, LAYERS, PADDING, Inputs, logits
from tests.inference.model.reference import recorded_rows

OURS = IMPLEMENTATIONS["sdpa"]


def test_watched_logits_are_the_plain_ones_bit_for_bit(loaded: LoadedModel, padded: Inputs) -> None:
    expected = logits(loaded, padded)
    with capturing(loaded.model, from_position=0):
        watched = logits(loaded, padded)
    assert torch.equal(watched, expected)


def test_a_mask_of_numbers_is_refused(loaded: LoadedModel, plain: Inputs) -> None:
    mask = torch.zeros(1, 1, IDS, IDS)
    positions = torch.arange(IDS).expand(3, 1, -1)
    with pytest.raises(ValueError, match=r"a mask of torch\.float32"), capturing(loaded.model, from_position=0):
        logits(loaded, {**plain, "attention_mask": mask, "position_ids": positions})


def test_a_name_without_its_mask_function_would_be_noticed(
    loaded: LoadedModel, padded: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = logits(loaded, padded)
    with capturing(loaded.model, from_position=0):
        monkeypatch.delitem(ALL_MASK_ATTENTION_FUNCTIONS._global_mapping, OURS)
        unmasked = logits(loaded, padded)
    assert not torch.allclose(unmasked[0, PADDING:], expected[0, PADDING:], atol=1e-3)


def test_the_mask_is_taken_by_its_name_too(loaded: LoadedModel) -> None:
    """Parts of the library hand it over by name; under another it would be lost among the options."""
    generator = torch.Generator().manual_seed(3)
    query = torch.randn(1, HEADS, 5, HEAD_DIM, generator=generator)
    key, value = torch.randn(2, 1, KV_HEADS, 5, HEAD_DIM, generator=generator)
    mask = torch.ones(1, 1, 5, 5, dtype=torch.bool).tril()
    mask[..., 1:, 0] = False
    module = loaded.model.model.language_model.layers[0].self_attn
    with capturing(loaded.model, from_position=0) as recorder:
        ours, _ = ALL_ATTENTION_FUNCTIONS[OURS](module, query, key, value, attention_mask=mask, scaling=0.25)
    expected, _ = ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, attention_mask=mask, scaling=0.25)
    assert torch.equal(ours, expected)
    assert not recorder.layer_rows(0, [1, 4], keys=5)[..., 0].any()


def test_text_layers_alone_are_watched_and_all_is_put_back(loaded: LoadedModel) -> None:
    text, vision = loaded.text_config, loaded.vision_config
    before = (text._attn_implementation, vision._attn_implementation)
    with capturing(loaded.model, from_position=0):
        assert text._attn_implementation == OURS
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


def test_an_attention_that_cannot_be_listened_to_is_refused(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded.text_config, "_attn_implementation_internal", "eager")
    with (
        pytest.raises(ModelError, match=r"a model that runs on sdpa, .*, got eager"),
        capturing(loaded.model, from_position=0),
    ):
        pass
    assert not capture._active


def test_wanted_queries_alone_are_set_aside(loaded: LoadedModel, padded: Inputs) -> None:
    with capturing(loaded.model, from_position=11, positions=(3, 7)) as recorder:
        logits(loaded, padded)
    kept = [layer.queries for layer in recorder._layers.values()]
    assert [tuple(part.shape) for parts in kept for part in parts] == [(2, HEADS, 4, HEAD_DIM)] * LAYERS
    # No view of the whole queries, which would keep them all in memory.
    assert all(part.untyped_storage().nbytes() == part.nbytes for parts in kept for part in parts)
    assert recorded_rows(recorder, [3, 12], keys=IDS, batch=1).shape == (2, LAYERS, HEADS, IDS)
    with pytest.raises(KeyError):
        recorder.layer_rows(0, [5], keys=IDS)


@pytest.mark.parametrize("positions", [(), (2,), (0, 2)], ids=str)
def test_queries_are_copies_that_a_later_write_does_not_change(positions: tuple[int, ...]) -> None:
    recorder = Recorder(from_position=4, positions=positions)
    query, key = torch.randn(1, 2, 5, 3), torch.randn(1, 1, 5, 3)
    recorder.take(0, query, key, None, 1.0)
    before = recorder.layer_rows(0, [4], keys=5)
    query.fill_(9)
    assert torch.equal(recorder.layer_rows(0, [4], keys=5), before)


def test_queries_are_those_after_rotary(loaded: LoadedModel) -> None:
    """The same token everywhere: in the first layer its queries differ by their rotation alone."""
    with capturing(loaded.model, from_position=0) as recorder:
        logits(loaded, {"input_ids": torch.full((1, 7), 300)})
    (queries,) = recorder._layers[0].queries
    assert not torch.allclose(queries[:, :, 1], queries[:, :, 5], atol=1e-2)
    assert torch.allclose(queries[:, :, 1].norm(dim=-1), queries[:, :, 5].norm(dim=-1), atol=1e-4)


def test_rows_by_hand() -> None:
    """One layer, two heads on one key head: scores 0, ln 3 and a key in the future, which counts for nothing."""
    recorder = Recorder(from_position=1)
    query = torch.tensor([[[[9.0], [1.0]], [[9.0], [0.0]]]])  # (1, heads, queries, dim)
    key = torch.tensor([[[[0.0], [1.0986123]]]])
    recorder.take(0, query, key, None, 1.0)
    recorder.take(0, torch.full((1, 2, 1, 1), 5.0), torch.tensor([[[[0.0], [1.0986123], [7.0]]]]), None, 1.0)
    rows = recorder.layer_rows(0, [1], keys=4)
    assert rows.shape == (2, 1, 4)
    assert rows[0, 0].tolist() == pytest.approx([0.25, 0.75, 0, 0], abs=1e-6)
    assert rows[1, 0].tolist() == pytest.approx([0.5, 0.5, 0, 0], abs=1e-6)


def test_each_head_reads_the_keys_of_its_group() -> None:
    """Heads 0 and 1 read key head 0, heads 2 and 3 key head 1, whichever of them are asked for."""
    generator = torch.Generator().manual_seed(7)
    query, key = torch.randn(1, 4, 3, 5, generator=generator), torch.randn(1, 2, 3, 5, generator=generator)
    recorder = Recorder(from_position=0)
    recorder.take(0, query, key, None, 0.5)
    expected = torch.stack([(query[0, head, 2] @ key[0, head // 2].T * 0.5).softmax(-1) for head in range(4)])
    assert torch.allclose(recorder.layer_rows(0, [2], keys=3)[:, 0], expected, atol=1e-6)
    for heads in (range(2), range(2, 4), range(1, 2), range(3, 4)):
        rows = recorder.layer_rows(0, [2], keys=3, heads=heads)[:, 0]
        assert torch.allclose(rows, expected[heads.start : heads.stop], atol=1e-6)
    with pytest.raises(ValueError, match="groups of 2"):
        recorder.layer_rows(0, [2], keys=3, heads=range(1, 3))


def test_no_wanted_token_sets_nothing_aside(loaded: LoadedModel, padded: Inputs) -> None:
    with capturing(loaded.model, from_position=IDS) as recorder:
        logits(loaded, padded)
    assert (recorder.layers, recorder.heads) == (LAYERS, HEADS)
    assert not any(layer.queries for layer in recorder._layers.values())


def test_nothing_outlives_the_recorder(loaded: LoadedModel, padded: Inputs) -> None:
    with capturing(loaded.model, from_position=2) as recorder:
        logits(loaded, padded)
    layer = recorder._layers[LAYERS - 1]
    held = [weakref.ref(value) for value in (recorder, layer.keys, layer.queries[0], layer.masks[0])]
    del recorder, layer
    gc.collect()
    assert [reference() for reference in held] == [None] * 4


def test_a_mask_that_is_handed_over_again_is_read_again() -> None:
    """The same tensor, first for the last three keys and then for the last alone."""
    recorder = Recorder(from_position=3, top_left=False)
    mask, key = torch.ones(1, 5, dtype=torch.bool), torch.zeros(1, 1, 5, 3)
    recorder.take(0, torch.zeros(1, 1, 3, 3), key, mask, 1.0)
    recorder.take(0, torch.zeros(1, 1, 1, 3), key, mask, 1.0)
    assert recorder.layer_rows(0, [3, 4], keys=5)[0].tolist() == [[0.25] * 4 + [0], pytest.approx([0.2] * 5)]
