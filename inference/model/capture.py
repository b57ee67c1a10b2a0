"""Queries of chosen positions, for every text layer, set aside while the model runs as it always does.

The text layers are given an attention function of our own name, with the mask function of the attention below it
beside it: the output comes from that attention, whichever the model was loaded with, and the queries of the wanted
positions are cloned. Their rows are worked out after the run, in float32, from those queries and the keys, for as few
layers, tokens and heads at a time as the caller likes; nothing of size heads x sequence x sequence is ever made. The
vision tower keeps its own attention. Knows no adapter, no request, no disk, and no model beyond its text config.
"""

import functools
import math
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from inference.errors import ModelError

# Without "flash" in the name: the library takes that for an attention that it has to install.
IMPLEMENTATIONS = {
    "sdpa": "lora_attention_over_sdpa",
    "flash_attention_2": "lora_attention_over_fa2",
    "flash_attention_3": "lora_attention_over_fa3",
}
"""Our name for each attention that can run below."""

_active: dict[int, "Recorder"] = {}
"""The recorder of each model that is being watched, by the identity of its text config."""


@dataclass
class _Layer:
    """What one layer left: its latest keys (batch, kv_heads, keys, dim), and one item of queries and mask a pass."""

    keys: torch.Tensor
    scaling: float
    queries: list[Float[torch.Tensor, "batch heads kept dim"]] = field(default_factory=list)
    masks: list[Bool[torch.Tensor, "batch kept keys"] | None] = field(default_factory=list)


class Recorder:
    """Queries of the wanted positions: those named, and all from `from_position` on (None: no other), in every layer.

    A position is a place on the key axis, padding included. Where a position is run twice (the cache was cut back in
    between), its latest query counts. Keys are those of the latest pass: rows are to be read before a cache that is
    written in place goes on. `top_left`: a pass without a mask whose keys are more than its queries begins at key 0
    (as sdpa has it, for a static cache that was empty) and not at the last keys (as flash attention has it).
    """

    def __init__(self, *, from_position: int | None, positions: Sequence[int] = (), top_left: bool = True) -> None:
        self.heads = 0
        self._from = math.inf if from_position is None else from_position
        self._positions = frozenset(positions)
        self._top_left = top_left
        self._layers: dict[int, _Layer] = {}
        # Where each position's query lies: the number of its pass, and its place among that pass's kept queries.
        self._places: dict[int, tuple[int, int]] = {}
        self._starts = [0]
        # Of the pass under way: the wanted positions, which of its queries they are, and the mask that layers share.
        self._own: list[int] = []
        self._chosen: slice | torch.Tensor = slice(0)
        self._mask: tuple[weakref.ref[torch.Tensor], torch.Tensor] | None = None

    @property
    def layers(self) -> int:
        """How many layers were heard."""
        return len(self._layers)

    @property
    def device(self) -> torch.device:
        return self._layers[0].keys.device

    def take(
        self,
        layer: int,
        query: Float[torch.Tensor, "batch heads queries dim"],
        key: Float[torch.Tensor, "batch kv_heads keys dim"],
        mask: Bool[torch.Tensor, "batch 1 queries keys"] | Bool[torch.Tensor, "batch keys"] | None,
        scaling: float,
    ) -> None:
        """Sets aside what one call of one layer needs; layer 0 comes first in every pass.

        Raises:
            ValueError: a mask that is added to scores, where True and False are expected.
        """
        if mask is not None and mask.dtype != torch.bool:
            raise ValueError(f"a mask of {mask.dtype}; the queries' keys are told by a mask of bools")
        if layer == 0:
            self._begin(query, key, mask)
        kept = self._layers.setdefault(layer, _Layer(key, scaling))
        kept.keys = key
        if self._own:
            kept.queries.append(_select(query, 2, self._chosen))
            kept.masks.append(None if mask is None else self._select_mask(mask))

    def layer_rows(
        self, layer: int, positions: Sequence[int], *, keys: int, heads: range | None = None, batch: int = 0
    ) -> Float[torch.Tensor, "heads tokens keys"]:
        """The float32 rows of these positions over the first `keys` keys, on the device; 0 where a key is hidden.

        `heads` None: all. Else a range that lies within one group of heads with the same key head, or is made of
        whole groups. A row that sees no key, or is made of NaN, is NaN.

        Raises:
            KeyError: a position whose query was not set aside.
            ValueError: heads of several groups, not all of them whole.
        """
        kept = self._layers[layer]
        places = [self._places[position] for position in positions]
        chosen = range(self.heads) if heads is None else heads
        # Query heads lie group by group: head h reads key head h // group.
        group = self.heads // kept.keys.shape[1]
        if chosen.start // group != (chosen.stop - 1) // group and (chosen.start % group or chosen.stop % group):
            raise ValueError(f"{chosen} for groups of {group}")
        read = kept.keys[batch, chosen.start // group : (chosen.stop - 1) // group + 1, :keys].float()
        # The token that was chosen last is never fed: it has a place among the keys, and no key.
        read = torch.nn.functional.pad(read, (0, 0, 0, keys - read.shape[1]))
        index = torch.tensor(
            [self._starts[number] + place for number, place in places], dtype=torch.long, device=read.device
        )
        queries = _joined(kept)[batch, chosen.start : chosen.stop].index_select(1, index).float()
        grouped = queries.reshape(len(read), -1, queries.shape[-1])  # (kv_heads, heads * tokens, dim)
        nothing = queries.new_zeros(1, 1, 1)
        scores = torch.baddbmm(nothing, grouped, read.transpose(1, 2), beta=0, alpha=kept.scaling)
        scores = scores.view(len(chosen), len(positions), keys)
        hidden = ~self._visible(kept, positions, places, batch, keys)
        return scores.masked_fill_(hidden, -torch.inf).softmax(-1)

    def _begin(self, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None) -> None:
        """Finds the wanted queries of a pass, once for all its layers, so that no other layer waits for the device."""
        self.heads = query.shape[1]
        first = _first_position(query.shape[2], key.shape[2], mask, top_left=self._top_left)
        here = [at for at in range(first, first + query.shape[2]) if at >= self._from or at in self._positions]
        self._own, self._mask = here, None
        if not here:
            return
        if here[-1] - here[0] + 1 == len(here):
            self._chosen = slice(here[0] - first, here[-1] - first + 1)
        else:
            self._chosen = torch.tensor(here, device=query.device) - first
        number = len(self._starts) - 1
        self._places |= {at: (number, place) for place, at in enumerate(here)}
        self._starts.append(self._starts[-1] + len(here))

    def _select_mask(self, mask: torch.Tensor) -> Bool[torch.Tensor, "batch kept keys"]:
        """What the kept queries see; made once where the layers share one mask."""
        if self._mask is not None and self._mask[0]() is mask:
            return self._mask[1]
        if mask.ndim == 2:
            own = torch.tensor(self._own, device=mask.device)[:, None]
            selected = mask[:, None, :] & (torch.arange(mask.shape[1], device=mask.device) <= own)
        else:
            selected = _select(mask[:, 0], 1, self._chosen)
        self._mask = (weakref.ref(mask), selected)
        return selected

    def _visible(
        self, kept: _Layer, positions: Sequence[int], places: Sequence[tuple[int, int]], batch: int, keys: int
    ) -> Bool[torch.Tensor, "tokens keys"]:
        """Which keys each query could see: what its mask says, or all up to its own."""
        device = kept.keys.device
        visible = torch.arange(keys, device=device) <= torch.tensor(positions, device=device)[:, None]
        for token, (number, place) in enumerate(places):
            mask = kept.masks[number]
            if mask is not None:
                seen = mask[batch, place, :keys]
                visible[token, : len(seen)] = seen
                visible[token, len(seen) :] = False
        return visible


@contextmanager
def capturing(model: Any, *, from_position: int | None, positions: Sequence[int] = ()) -> Iterator[Recorder]:
    """A recorder that listens to the text layers of this model until the block ends, however it ends.

    Raises:
        ModelError: the model was loaded with an attention that cannot be listened to.
        RuntimeError: the model is being watched already.
    """
    config = model.config.text_config
    if id(config) in _active:
        raise RuntimeError("this model is being watched already")
    underlying = config._attn_implementation
    if underlying not in IMPLEMENTATIONS:
        raise ModelError(
            f"a model that runs on {', '.join(IMPLEMENTATIONS)}", underlying, "load it with one of these attentions"
        )
    _register(underlying)
    recorder = Recorder(from_position=from_position, positions=positions, top_left=underlying == "sdpa")
    _active[id(config)] = recorder
    try:
        model.set_attn_implementation({"text_config": IMPLEMENTATIONS[underlying]})
        yield recorder
    finally:
        model.set_attn_implementation({"text_config": underlying})
        del _active[id(config)]


def _register(underlying: str) -> None:
    """Names our function and, which matters as much, its mask function: a name without one gets no mask at all."""
    name = IMPLEMENTATIONS[underlying]
    ALL_ATTENTION_FUNCTIONS.register(name, functools.partial(_attend, underlying))
    ALL_MASK_ATTENTION_FUNCTIONS.register(name, ALL_MASK_ATTENTION_FUNCTIONS[underlying])


def _attend(
    underlying: str,
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    config = module.config
    _active[id(config)].take(module.layer_idx, query, key, attention_mask, options["scaling"])
    # Flash attention asks the config for its own name.
    config._attn_implementation = underlying
    try:
        output, _ = ALL_ATTENTION_FUNCTIONS[underlying](module, query, key, value, attention_mask, **options)
    finally:
        config._attn_implementation = IMPLEMENTATIONS[underlying]
    return output, None


def _first_position(queries: int, keys: int, mask: torch.Tensor | None, *, top_left: bool) -> int:
    """The place of a pass's first query on the key axis, which may be longer than any query reaches."""
    if mask is None:
        return 0 if top_left and queries > 1 else keys - queries
    if mask.ndim == 2:
        return mask.shape[1] - queries
    # The last key that each query sees is its own, unless that is hidden, as that of padding is.
    last = keys - 1 - mask[:, 0].flip(-1).byte().argmax(-1)  # (batch, queries)
    own = torch.where(mask[:, 0].any(-1), last, -1) - torch.arange(queries, device=mask.device)
    return int(own.max())


def _joined(kept: _Layer) -> Float[torch.Tensor, "batch heads kept dim"]:
    """The queries of all passes as one tensor, which takes the place of its parts."""
    if len(kept.queries) > 1:
        kept.queries = [torch.cat(kept.queries, dim=2)]
    return kept.queries[0]


def _select(values: torch.Tensor, axis: int, chosen: slice | torch.Tensor) -> torch.Tensor:
    """A copy of these places along an axis: a view would keep the whole tensor, or change with it."""
    if isinstance(chosen, slice):
        return values.narrow(axis, chosen.start, chosen.stop - chosen.start).clone()
    return values.index_select(axis, chosen.to(values.device))
