"""The text layers' attention while trials run: blocks in its mask, before softmax, and one row of it kept as a map.

The layers are given an attention function of our own name. It makes its own mask (what comes later is hidden, and what
is blocked) and runs on sdpa, whichever attention the model was loaded with, so that trials with and without blocks go
one way. Made for single passes over whole sequences, without a cache and without padding. Knows no adapter.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from inference.evidence.trials import Block, Watch
from inference.trace.session import ImageSpan

NAME = "lora_attention_with_blocks"
_BELOW = "sdpa"

_active: dict[int, "Attention"] = {}
"""The attention of each model that trials are run on, by the identity of its text config."""


class Attention:
    """What each row of the next pass may look at, and the map that it leaves.

    `images`: where the pictures' tokens lie; `answer_at`: the position that predicts the first word.
    """

    def __init__(self, config: Any, device: torch.device, images: Sequence[ImageSpan], answer_at: int) -> None:
        self._shape = (config.num_hidden_layers, config.num_attention_heads)
        self._device = device
        self._images = images
        self._answer_at = answer_at
        self._watch: Watch | None = None
        self._seen: list[Float[torch.Tensor, "rows cells"]] = []
        self._visible: Bool[torch.Tensor, "rows_or_1 1 length length"] = torch.ones(1, 1, 0, 0, dtype=torch.bool)
        self._hidden: Bool[torch.Tensor, "rows 1 length length"] | None = None
        self._heads: Bool[torch.Tensor, "rows layers heads"] | None = None
        self._by_head: frozenset[int] = frozenset()

    def begin(self, blocks: Sequence[Block | None], length: int, watch: Watch | None = None) -> None:
        """Prepares a pass over so many rows of so many positions, each with its block or none."""
        self._watch, self._seen = watch, []
        causal = torch.ones(length, length, dtype=torch.bool, device=self._device).tril()[None, None]
        self._visible, self._hidden, self._heads, self._by_head = causal, None, None, frozenset()
        if not any(block and block.cells for block in blocks):
            return
        hidden = self._hidden_cells(blocks, length)
        whole = torch.tensor([block is None or block.heads is None for block in blocks], device=self._device)
        self._visible = causal & ~(hidden & whole[:, None, None, None])
        if any(block and block.heads for block in blocks):
            self._hidden = hidden
            self._heads, self._by_head = self._named_heads(blocks)

    def maps(self) -> Float[torch.Tensor, "rows cells"]:
        """The watched map of each row of the last pass, mean over the layers and heads that are meant."""
        return torch.stack(self._seen).mean(0)

    def attend(
        self, module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: Any
    ) -> tuple[Float[torch.Tensor, "rows length heads dim"], None]:
        """The output of one layer; queries, keys and values are (rows, heads, length, dim)."""
        layer = module.layer_idx
        mask = self._mask(layer)
        watch = self._watch
        if watch is not None and watch.layer in (None, layer):
            self._seen.append(self._map(watch, query, key, mask, options["scaling"]))
        output, _ = ALL_ATTENTION_FUNCTIONS[_BELOW](module, query, key, value, mask, **options)
        return output, None

    def _mask(self, layer: int) -> Bool[torch.Tensor, "rows_or_1 heads_or_1 length length"]:
        """What may be looked at in a layer; of single heads only where a block names some of this layer."""
        if self._hidden is None or self._heads is None or layer not in self._by_head:
            return self._visible
        return self._visible & ~(self._hidden & self._heads[:, layer, :, None, None])

    def _hidden_cells(self, blocks: Sequence[Block | None], length: int) -> Bool[torch.Tensor, "rows 1 length length"]:
        watchers = torch.zeros(len(blocks), length, dtype=torch.bool)
        cells = torch.zeros(len(blocks), length, dtype=torch.bool)
        for row, block in enumerate(blocks):
            if block is None:
                continue
            span = self._images[block.image]
            cells[row, [span.start + cell for cell in block.cells]] = True
            first = {"all": 0, "text": span.stop, "answer": self._answer_at}[block.who]
            watchers[row, first:] = True
            watchers[row] &= ~cells[row]
        return (watchers[:, None, :, None] & cells[:, None, None, :]).to(self._device)

    def _named_heads(
        self, blocks: Sequence[Block | None]
    ) -> tuple[Bool[torch.Tensor, "rows layers heads"], frozenset[int]]:
        """The heads that each row's block names, none where it means all; and in which layers there are any."""
        named = torch.zeros(len(blocks), *self._shape, dtype=torch.bool)
        for row, block in enumerate(blocks):
            for layer, head in (block.heads if block else None) or ():
                named[row, layer, head] = True
        layers = named.any(-1).any(0).nonzero()[:, 0].tolist()
        return named.to(self._device), frozenset(layers)

    def _map(
        self, watch: Watch, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor, scaling: float
    ) -> Float[torch.Tensor, "rows cells"]:
        """Shares of all attention that the watched query gives the picture's cells, mean over the heads meant."""
        rows, heads, _, width = query.shape
        grouped = query[:, :, watch.row_at].float().view(rows, key.shape[1], -1, width)
        scores = (grouped @ key.float().transpose(2, 3) * scaling).view(rows, heads, -1)
        shares = scores.masked_fill(~mask[:, :, watch.row_at], -torch.inf).softmax(-1)
        span = self._images[watch.image]
        looked = shares[:, :, span.start : span.stop]
        return looked.mean(1) if watch.head is None else looked[:, watch.head]


@contextmanager
def attending(model: Any, images: Sequence[ImageSpan], answer_at: int) -> Iterator[Attention]:
    """The attention of this model's text layers until the block ends, however it ends.

    Raises:
        RuntimeError: trials are run on this model already.
    """
    config = model.config.text_config
    if id(config) in _active:
        raise RuntimeError("trials are run on this model already")
    ALL_ATTENTION_FUNCTIONS.register(NAME, _attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS[_BELOW])
    before = config._attn_implementation
    attention = Attention(config, model.device, images, answer_at)
    _active[id(config)] = attention
    try:
        model.set_attn_implementation({"text_config": NAME})
        yield attention
    finally:
        model.set_attn_implementation({"text_config": before})
        del _active[id(config)]


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    if attention_mask is not None:
        raise ValueError("a pass with padding; each row of a trial is whole")
    return _active[id(module.config)].attend(module, query, key, value, **options)
