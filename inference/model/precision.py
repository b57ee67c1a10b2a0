"""A model of 16 bits run in float32 for a while: what rounding does is seen by what is different then.

Works on tensors and the names of attentions; knows no adapter, no request and no row.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain

import torch

from inference.model.load import LoadedModel


@contextmanager
def in_float32(loaded: LoadedModel) -> Iterator[LoadedModel]:
    """The same model with all its 16-bit numbers in float32, on sdpa, until the block ends; then it is as it was.

    The very tensors that were there come back, so bit for bit; meanwhile both are held, which takes three times the
    memory. Weights, those of adapters too, keep the values that they were rounded to when they were loaded; those
    that are added inside stay as they are. A model in float32 is handed on unchanged.
    """
    if loaded.dtype == torch.float32:
        yield loaded
        return
    with ExitStack() as stack:
        for tensor in {id(one): one for one in chain(loaded.model.parameters(), loaded.model.buffers())}.values():
            if tensor.dtype in (torch.bfloat16, torch.float16):
                stack.callback(setattr, tensor, "data", tensor.data)
                tensor.data = tensor.data.float()
        stack.enter_context(_on_sdpa(loaded))
        yield replace(loaded, dtype=torch.float32)


@contextmanager
def _on_sdpa(loaded: LoadedModel) -> Iterator[None]:
    """Flash attention takes 16 bits alone."""
    config = loaded.model.config
    before = {
        "": config._attn_implementation,
        "text_config": config.text_config._attn_implementation,
        "vision_config": config.vision_config._attn_implementation,
    }
    try:
        loaded.model.set_attn_implementation(dict.fromkeys(before, "sdpa"))
        yield
    finally:
        loaded.model.set_attn_implementation(before)
