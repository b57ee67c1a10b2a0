"""Rows of chosen positions from every cache, chunk, padding and mask: those of eager attention on the same tokens."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DynamicCache, StaticCache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from inference.model import capture
from inference.model.capture import capturing
from inference.model.load import LoadedModel
from tests.inference.model.conftest import IDS, PADDING, Inputs, logits
from tests.inference.model.reference import recorded_rows, stack_rows


def eager_rows(loaded: LoadedModel, inputs: Inputs, positions: Sequence[int], *, batch: int = 0) -> np.ndarray:
    """Rows of one pass over all tokens, without any cache, made in full by the library."""
    loaded.model.set_attn_implementation({"text_config": "eager"})
    try:
        with torch.inference_mode():
            attentions = loaded.model(**inputs, output_attentions=True, use_cache=False).attentions
    finally:
        loaded.model.set_attn_implementation({"text_config": "sdpa"})
    return np.asarray(stack_rows(attentions, positions, batch=batch))


def feed(loaded: LoadedModel, inputs: Inputs, cache: Any, chunks: Sequence[int]) -> torch.Tensor:
    """Feeds the tokens in chunks of these sizes, each behind the last; the logits of all."""
    found, at = [], int(cache.get_seq_length())
    for size in chunks:
        positions = torch.arange(at, at + size).expand(3, len(inputs["input_ids"]), -1)
        options: dict[str, Any] = {"position_ids": positions, "past_key_values": cache, "use_cache": True}
        if "attention_mask" in inputs:
            options["attention_mask"] = inputs["attention_mask"][:, : at + size]
        found.append(logits(loaded, {"input_ids": inputs["input_ids"][:, at : at + size], **options}))
        at += size
    return torch.cat(found, dim=1)


def dynamic(loaded: LoadedModel) -> Any:
    return DynamicCache(config=loaded.text_config)


def static(loaded: LoadedModel) -> Any:
    """A cache whose key axis is longer than any query reaches."""
    return StaticCache(config=loaded.text_config, max_cache_len=IDS + 10)


@pytest.mark.parametrize("make", [dynamic, static])
@pytest.mark.parametrize("chunks", [(IDS,), (5, 1, 7), (7, 1, 1, 1, 1, 1, 1), (1,) * IDS], ids=str)
def test_rows_from_any_cache_fed_in_any_chunks(
    loaded: LoadedModel, plain: Inputs, make: Any, chunks: tuple[int, ...]
) -> None:
    expected = feed(loaded, plain, make(loaded), chunks)
    with capturing(loaded.model, from_position=9, positions=(0, 2, 6)) as recorder:
        watched = feed(loaded, plain, make(loaded), chunks)
    wanted = [0, 2, 6, 9, 10, 11, 12]
    rows = recorded_rows(recorder, wanted, keys=IDS)
    np.testing.assert_allclose(rows, eager_rows(loaded, plain, wanted), atol=1e-5)
    assert torch.equal(watched, expected)


@pytest.mark.parametrize("make", [dynamic, static])
@pytest.mark.parametrize("chunks", [(IDS,), (6, 6, 1), (11, 1, 1)], ids=str)
def test_rows_of_a_padded_batch_fed_in_chunks(
    loaded: LoadedModel, padded: Inputs, make: Any, chunks: tuple[int, ...]
) -> None:
    with capturing(loaded.model, from_position=10, positions=(5,)) as recorder:
        feed(loaded, padded, make(loaded), chunks)
    wanted = [5, 10, 11, 12]
    inputs = {**padded, "position_ids": torch.arange(IDS).expand(3, 2, -1)}
    for row in range(2):
        rows = recorded_rows(recorder, wanted, keys=IDS, batch=row)
        np.testing.assert_allclose(rows, eager_rows(loaded, inputs, wanted, batch=row), atol=1e-5)
        assert rows[..., :PADDING].any() == (row == 1)


@pytest.mark.parametrize("make", [dynamic, static])
def test_a_cache_that_was_used_before_is_gone_on_with(loaded: LoadedModel, plain: Inputs, make: Any) -> None:
    cache = make(loaded)
    feed(loaded, plain, cache, (6,))
    with capturing(loaded.model, from_position=0) as recorder:
        feed(loaded, plain, cache, (4, 1, 2))
    wanted = [6, 8, 10, 12]
    rows = recorded_rows(recorder, wanted, keys=IDS)
    np.testing.assert_allclose(rows, eager_rows(loaded, plain, wanted), atol=1e-5)
    with pytest.raises(KeyError):
        recorder.layer_rows(0, [5], keys=IDS)


def test_a_position_that_is_run_again_counts_as_it_was_last(loaded: LoadedModel, plain: Inputs) -> None:
    cache = dynamic(loaded)
    other = {"input_ids": plain["input_ids"].flip(1)}
    with capturing(loaded.model, from_position=6) as recorder:
        feed(loaded, plain, cache, (6,))
        feed(loaded, other, cache, (5,))
        cache.crop(-5)
        feed(loaded, plain, cache, (7,))
    rows = recorded_rows(recorder, [7, 12], keys=IDS)
    np.testing.assert_allclose(rows, eager_rows(loaded, plain, [7, 12]), atol=1e-5)


def test_a_ready_made_mask_tells_the_positions(loaded: LoadedModel, plain: Inputs) -> None:
    """A mask that hides keys: key 2 from all later queries, and from query 9 its own."""
    seen = torch.ones(IDS, IDS, dtype=torch.bool).tril()
    seen[3:, 2] = False
    seen[9, 9] = False
    cache = static(loaded)
    mask = torch.nn.functional.pad(seen, (0, 10))[None, None]
    with capturing(loaded.model, from_position=0) as recorder, torch.inference_mode():
        for chunk in (slice(0, 8), slice(8, 9), slice(9, 13)):
            loaded.model(
                input_ids=plain["input_ids"][:, chunk],
                position_ids=torch.arange(chunk.start, chunk.stop).expand(3, 1, -1),
                attention_mask=mask[:, :, chunk],
                past_key_values=cache,
                use_cache=True,
            )
    rows = recorded_rows(recorder, range(IDS), keys=IDS)
    assert not rows[3:, ..., 2].any() and not rows[9, ..., 9].any()
    np.testing.assert_allclose(rows.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(rows[:3], eager_rows(loaded, plain, range(3)), atol=1e-5)


def test_positions_are_found_once_a_pass(loaded: LoadedModel, padded: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finding them may wait for the device, which no layer is to do."""
    calls: list[int] = []
    find = capture._first_position

    def counted(*given: Any, **named: Any) -> int:
        calls.append(find(*given, **named))
        return calls[-1]

    monkeypatch.setattr(capture, "_first_position", counted)
    with capturing(loaded.model, from_position=0) as recorder:
        feed(loaded, padded, dynamic(loaded), (9, 1, 3))
    assert calls == [0, 9, 10]
    masks = [layer.masks for layer in recorder._layers.values()]
    assert all(mask is first for layer in masks for mask, first in zip(layer, masks[0], strict=True))


@pytest.fixture
def on_flash(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadedModel]:
    """The model on an attention that has the name, the masks and the alignment of flash attention."""
    config = loaded.text_config

    def attend(
        module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **options: Any
    ) -> tuple[torch.Tensor, None]:
        assert config._attn_implementation == "flash_attention_2"
        queries, keys = query.shape[2], key.shape[2]
        seen = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)[None, None]
        if attention_mask is not None:
            assert attention_mask.shape == (len(query), keys)
            seen = seen & attention_mask[:, None, None]
        output, _ = ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, seen, **options)
        return output, None

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "flash_attention_2", attend)
    monkeypatch.setattr(config, "_attn_implementation_internal", "flash_attention_2")

    def set_attention(chosen: dict[str, str]) -> None:
        config._attn_implementation = chosen["text_config"]

    # The library's own would look for an installed flash attention.
    monkeypatch.setattr(loaded.model, "set_attn_implementation", set_attention)
    yield loaded


@pytest.mark.parametrize("chunks", [(IDS,), (5, 1, 7), (9, 1, 1, 1, 1)], ids=str)
def test_rows_on_flash_attention(on_flash: LoadedModel, padded: Inputs, plain: Inputs, chunks: tuple[int, ...]) -> None:
    wanted = [5, 10, 11, 12]
    for inputs in (plain, padded):
        with capturing(on_flash.model, from_position=10, positions=(5,)) as recorder:
            watched = feed(on_flash, inputs, dynamic(on_flash), chunks)
        assert torch.equal(watched, feed(on_flash, inputs, dynamic(on_flash), chunks))
        on_flash.text_config._attn_implementation = "sdpa"
        whole = {**inputs, "position_ids": torch.arange(IDS).expand(3, len(inputs["input_ids"]), -1)}
        for row in range(len(inputs["input_ids"])):
            rows = recorded_rows(recorder, wanted, keys=IDS, batch=row)
            np.testing.assert_allclose(rows, eager_rows(on_flash, whole, wanted, batch=row), atol=1e-5)
        on_flash.text_config._attn_implementation = "flash_attention_2"
