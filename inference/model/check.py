"""The rows once more by the slow way: the model's own eager attention, over a variant's own words in a single pass.

Eager attention makes every row of every head; here each layer's are compared and dropped before the next layer makes
its own. Knows no disk and no adapter: those that are on take part.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import psutil
import torch
from jaxtyping import Float

from inference.errors import ModelError, SettingsError
from inference.model.capture import Recorder
from inference.model.decode import Conversation
from inference.model.load import LoadedModel
from inference.model.rows import Kept

# Scores, scores with their mask, their softmax in float32, and that in the model's own numbers.
_COPIES = 4
_FLOAT_BYTES = 4
_TOKENS_AT_ONCE = 32


def check_memory(loaded: LoadedModel, length: int) -> None:
    """Refuses a comparison over so many tokens that its full rows would not fit into the memory that is free.

    Raises:
        SettingsError: with what it would take.
    """
    needed = _COPIES * loaded.text_config.num_attention_heads * length**2 * _FLOAT_BYTES
    free = free_bytes(loaded.device)
    if needed > free:
        raise SettingsError(
            f"{needed / 1e9:.1f} GB of free memory to compare {length:,} tokens with eager attention",
            f"{free / 1e9:.1f} GB",
            "lower max_pixels or the number of answer tokens, or ask without the comparison",
        )


def largest_error(
    model: Any, conversation: Conversation, recorder: Recorder, kept: Kept, ids: Sequence[int], *, batch: int = 0
) -> float:
    """The most that any float32 row of the kept tokens, layers and heads differs from the eager one.

    `ids` is what was written, by the recorder's conversation `batch`; the other conversation is one of a single row
    with the same prompt, which goes on as if nothing had been read again.

    Raises:
        ModelError: eager attention gives numbers that are not finite.
    """
    errors = [0.0]

    def compare(layer: int, eager: torch.Tensor) -> None:
        errors.append(_layer_error(recorder, kept, layer, eager, batch))

    layers = range(recorder.layers) if kept.keep.layers is None else kept.keep.layers
    with _eager_text(model), _weights_shown(model, layers, compare):
        # The last token has no row of its own.
        conversation.read_again(ids[:-1])
    return max(errors)


def _layer_error(
    recorder: Recorder, kept: Kept, layer: int, eager: Float[torch.Tensor, "heads queries keys"], batch: int
) -> float:
    heads = torch.tensor(
        range(recorder.heads) if kept.keep.heads is None else kept.keep.heads, dtype=torch.long, device=eager.device
    )
    errors = [0.0]
    for at in range(0, len(kept.tokens) if len(heads) else 0, _TOKENS_AT_ONCE):
        positions = [token.row_at for token in kept.tokens[at : at + _TOKENS_AT_ONCE]]
        ours = recorder.layer_rows(layer, positions, keys=eager.shape[2], batch=batch)
        theirs = eager.index_select(1, torch.tensor(positions, device=eager.device)).float()
        errors.append(float((ours - theirs).index_select(0, heads).abs().max()))
    if not all(map(math.isfinite, errors)):
        raise ModelError(
            "rows of eager attention that are finite numbers",
            f"others in layer {layer}",
            "ask without the comparison, or set the dtype to bfloat16 or float32",
        )
    return max(errors)


@contextmanager
def _eager_text(model: Any) -> Iterator[None]:
    """The text layers on eager attention, until the block ends, however it ends."""
    before = model.config.text_config._attn_implementation
    try:
        model.set_attn_implementation({"text_config": "eager"})
        yield
    finally:
        model.set_attn_implementation({"text_config": before})


@contextmanager
def _weights_shown(model: Any, layers: Sequence[int], show: Callable[[int, torch.Tensor], None]) -> Iterator[None]:
    """Shows these layers' attention weights (heads, queries, keys) as each is run, and drops those of every layer."""

    def hook(layer: int, wanted: bool, _module: Any, _inputs: Any, output: tuple[torch.Tensor, torch.Tensor]) -> Any:
        if wanted:
            show(layer, output[1][0])
        return output[0], None

    with ExitStack() as stack:
        for number, layer in enumerate(model.model.language_model.layers):
            handle = layer.self_attn.register_forward_hook(functools.partial(hook, number, number in layers))
            stack.callback(handle.remove)
        yield


def free_bytes(device: torch.device) -> int:
    """Memory that can be had now, on this device."""
    if device.type != "cuda":
        return int(psutil.virtual_memory().available)
    free, _ = torch.cuda.mem_get_info(device)
    # What the allocator holds and has not given out is as good as free.
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
