"""Attention rows of chosen positions, for every text layer and head, taken while the model runs as it always does.

The text layers are given an attention function of our own name, with the mask function of sdpa beside it: the output
comes from sdpa, and the queries of the wanted positions are set aside. After the run their rows are worked out in
float32 from those queries and the keys; nothing of size heads x sequence x sequence is ever made. The vision tower
keeps its own attention. Knows no adapter, no request, and no model beyond its text config.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

IMPLEMENTATION = "lora_attention_rows"
_UNDERLYING = "sdpa"
_active: dict[int, "Recorder"] = {}
"""The recorder of each model that is being watched, by the identity of its text config."""


class Recorder:
    """Queries of the wanted positions: those named, and all from `from_position` on, in every layer."""

    def __init__(self, *, from_position: int, positions: Sequence[int] = ()) -> None:
        self._from = from_position
        self._positions = frozenset(positions)
        self._kept: list[int] = []
        self._queries: dict[int, list[torch.Tensor]] = {}
        self._masks: dict[int, list[torch.Tensor | None]] = {}
        self._keys: dict[int, torch.Tensor] = {}
        self._scaling: dict[int, float] = {}

    def take(
        self,
        layer: int,
        query: Float[torch.Tensor, "batch heads queries dim"],
        key: Float[torch.Tensor, "batch kv_heads keys dim"],
        mask: Bool[torch.Tensor, "batch 1 queries keys"] | None,
        scaling: float,
    ) -> None:
        """Sets aside what one call of one layer needs; queries are the last ones of the keys."""
        stop = key.shape[2]
        first = stop - query.shape[2]
        here = [at for at in range(first, stop) if at >= self._from or at in self._positions]
        self._keys[layer] = key
        self._scaling[layer] = scaling
        if not here:
            return
        if layer == 0:
            self._kept.extend(here)
        index = torch.tensor(here, device=query.device) - first
        self._queries.setdefault(layer, []).append(query[:, :, index])
        self._masks.setdefault(layer, []).append(None if mask is None else mask[:, 0, index])

    def rows(
        self, positions: Sequence[int], *, keys: int, batch: int = 0
    ) -> Float[np.ndarray, "tokens layers heads keys"]:
        """The float32 rows of these positions over `keys` keys, 0 where a key is hidden or not yet there.

        Raises:
            KeyError: a position whose query was not set aside.
        """
        place = {position: index for index, position in enumerate(self._kept)}
        index = torch.tensor([place[position] for position in positions], dtype=torch.long)
        layers = sorted(self._queries)
        heads = self._queries[layers[0]][0].shape[1] if layers else 0
        rows = np.zeros((len(positions), len(layers), heads, keys), np.float32)
        for layer in layers:
            values = self._layer_rows(layer, index, batch).cpu().numpy()
            rows[:, layer, :, : values.shape[-1]] = values
        return rows

    def _layer_rows(self, layer: int, index: torch.Tensor, batch: int) -> Float[torch.Tensor, "tokens heads keys"]:
        queries = torch.cat([part[batch] for part in self._queries[layer]], dim=1)  # (heads, kept, dim)
        keys = self._keys[layer][batch].float()  # (kv_heads, keys, dim)
        wanted = queries[:, index.to(queries.device)].float()
        # Query heads lie group by group: head h reads key head h // group.
        group = wanted.shape[0] // keys.shape[0]
        grouped = wanted.reshape(keys.shape[0], group, *wanted.shape[1:])  # (kv_heads, group, tokens, dim)
        scores = grouped @ keys.transpose(-1, -2)[:, None] * self._scaling[layer]
        visible = self._visible(layer, batch, keys.shape[1])[index.to(keys.device)]
        weights: torch.Tensor = scores.flatten(0, 1).masked_fill(~visible, -torch.inf).softmax(dim=-1)
        return weights.transpose(0, 1)

    def _visible(self, layer: int, batch: int, keys: int) -> Bool[torch.Tensor, "kept keys"]:
        """Which keys each kept query could see: the mask that the layer was given, or all up to its own."""
        device = self._keys[layer].device
        own = torch.tensor(self._kept, device=device)[:, None]
        visible = torch.arange(keys, device=device)[None, :] <= own
        at = 0
        for part, mask in zip(self._queries[layer], self._masks[layer], strict=True):
            count = part.shape[2]
            if mask is not None:
                seen = mask[batch]
                visible[at : at + count] = False
                visible[at : at + count, : seen.shape[1]] = seen
            at += count
        return visible


@contextmanager
def capturing(model: Any, *, from_position: int, positions: Sequence[int] = ()) -> Iterator[Recorder]:
    """A recorder that listens to the text layers of this model until the block ends, however it ends.

    Raises:
        RuntimeError: the model is being watched already.
    """
    config = model.config.text_config
    if id(config) in _active:
        raise RuntimeError("this model is being watched already")
    _register()
    before = config._attn_implementation
    recorder = _active[id(config)] = Recorder(from_position=from_position, positions=positions)
    try:
        model.set_attn_implementation({"text_config": IMPLEMENTATION})
        yield recorder
    finally:
        model.set_attn_implementation({"text_config": before})
        del _active[id(config)]


def _register() -> None:
    """Names our function and, which matters as much, its mask function: a name without one gets no mask at all."""
    ALL_ATTENTION_FUNCTIONS.register(IMPLEMENTATION, _attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(IMPLEMENTATION, ALL_MASK_ATTENTION_FUNCTIONS[_UNDERLYING])


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    _active[id(module.config)].take(module.layer_idx, query, key, attention_mask, options["scaling"])
    output, _ = ALL_ATTENTION_FUNCTIONS[_UNDERLYING](module, query, key, value, attention_mask, **options)
    return output, None
