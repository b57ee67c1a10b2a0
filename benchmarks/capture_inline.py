"""Capture the other way, to measure ours against: each layer's rows are worked out while its attention is called.

Kept for the comparison alone; the arithmetic is the product's own. Knows no figures.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from inference.model.capture import Recorder

IMPLEMENTATION = "lora_attention_inline"


class InlineRecorder(Recorder):
    """Holds float32 rows instead of queries; of one prompt without padding, in one batch."""

    def __init__(self, *, from_position: int, positions: Sequence[int] = ()) -> None:
        super().__init__(from_position=from_position, positions=positions)
        self._wanted_from = from_position
        self._wanted = frozenset(positions)
        self._rows: dict[int, dict[int, Float[torch.Tensor, "heads keys"]]] = {}

    def take(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, scaling: float
    ) -> None:
        """Works out the rows of the wanted positions of this pass."""
        super().take(layer, query, key, mask, scaling)
        stop = key.shape[2]
        here = [at for at in range(stop - query.shape[2], stop) if at >= self._wanted_from or at in self._wanted]
        if here:
            made = super().layer_rows(layer, here, keys=stop)
            self._rows.setdefault(layer, {}).update(zip(here, made.unbind(1), strict=True))

    def layer_rows(
        self, layer: int, positions: Sequence[int], *, keys: int, heads: range | None = None, batch: int = 0
    ) -> Float[torch.Tensor, "heads tokens keys"]:
        """The rows that were made, 0 where a key was not there yet."""
        made = [self._rows[layer][position] for position in positions]
        chosen = slice(heads.start, heads.stop) if heads else slice(None)
        return torch.stack([torch.nn.functional.pad(row[chosen], (0, keys - row.shape[1])) for row in made], dim=1)


@contextmanager
def capturing_inline(model: Any, *, from_position: int, positions: Sequence[int] = ()) -> Iterator[InlineRecorder]:
    """A recorder that works inside the text layers' attention, over sdpa, until the block ends."""
    recorder = InlineRecorder(from_position=from_position, positions=positions)

    def attend(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any) -> Any:
        recorder.take(module.layer_idx, query, key, attention_mask, options["scaling"])
        return ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, attention_mask, **options)

    ALL_ATTENTION_FUNCTIONS.register(IMPLEMENTATION, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(IMPLEMENTATION, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    before = model.config.text_config._attn_implementation
    try:
        model.set_attn_implementation({"text_config": IMPLEMENTATION})
        yield recorder
    finally:
        model.set_attn_implementation({"text_config": before})
