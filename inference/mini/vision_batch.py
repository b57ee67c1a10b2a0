"""Many scenes of one size through the model's own vision tower at once.

The library's forward loops over pictures; training has thousands of equal size, so here they go as one batch
through the very same modules and weights. Knows no scene, question or loss.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration
from transformers.vision_utils import get_vision_position_ids

from inference.mini.architecture import MERGE, PATCH_PX


@dataclass(frozen=True, slots=True)
class Features:
    """What the tower hands to the text layers: each (pictures, tokens, width), DeepStack levels in order."""

    tokens: Tensor
    deepstack: tuple[Tensor, ...]

    def float(self) -> "Features":
        """The same in float32."""
        return Features(self.tokens.float(), tuple(level.float() for level in self.deepstack))


def encode(model: Qwen3VLForConditionalGeneration, pixels: Tensor) -> Features:
    """Features of pictures (pictures, height, width, RGB), uint8, both sides multiples of a token's.

    Equal to the library's own forward up to rounding.
    """
    visual = model.model.visual
    rows, cols = pixels.shape[1] // PATCH_PX, pixels.shape[2] // PATCH_PX
    positions = get_vision_position_ids(torch.tensor([[1, rows, cols]]), MERGE)
    hidden = _embed(visual.patch_embed.proj, _patches(pixels)) + _learned_places(visual, positions)
    cos, sin = visual.rotary_pos_emb(hidden, positions)
    levels: list[Tensor] = []
    for index, block in enumerate(visual.blocks):
        hidden = hidden + _attend(block.attn, block.norm1(hidden), cos, sin)
        hidden = hidden + block.mlp(block.norm2(hidden))
        if index in visual.deepstack_visual_indexes:
            merger = visual.deepstack_merger_list[len(levels)]
            levels.append(_merge(merger, hidden))
    return Features(_merge(visual.merger, hidden), tuple(levels))


def _patches(pixels: Tensor) -> Tensor:
    """(pictures, patches, channels x patch height x patch width), patches in the model's 2 x 2 block order."""
    count, height, width, channels = pixels.shape
    token = PATCH_PX * MERGE
    split = (count, height // token, MERGE, PATCH_PX, width // token, MERGE, PATCH_PX, channels)
    blocks = (pixels.float() / 127.5 - 1).view(split).permute(0, 1, 4, 2, 5, 7, 3, 6)
    return blocks.reshape(count, -1, channels * PATCH_PX * PATCH_PX)


def _embed(conv: torch.nn.Conv3d, patches: Tensor) -> Tensor:
    """The patch convolution as one linear layer; a still picture fills both frames, so their weights add up."""
    return F.linear(patches, conv.weight.sum(dim=2).flatten(1), conv.bias)


def _learned_places(visual: Any, positions: Tensor) -> Tensor:
    """The learned place of each patch; scenes have the very size of the learned grid."""
    embedded: Tensor = visual.pos_embed(positions[:, 0] * visual.num_grid_per_side + positions[:, 1])
    return embedded


def _attend(attention: Any, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    count, length, width = hidden.shape
    # (pictures, patches, 3 x heads x head width) -> 3 x (pictures, heads, patches, head width)
    # float32 under autocast too: on a CPU bf16 attention is several times slower backward
    query, key, value = (
        attention.qkv(hidden).float().view(count, length, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    )
    mixed = F.scaled_dot_product_attention(_turn(query, cos, sin), _turn(key, cos, sin), value)
    out: Tensor = attention.proj(mixed.transpose(1, 2).reshape(count, length, width))
    return out


def _turn(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary places on (..., patches, head width)."""
    left, right = states.chunk(2, dim=-1)
    return states * cos.to(states.dtype) + torch.cat((-right, left), dim=-1) * sin.to(states.dtype)


def _merge(merger: torch.nn.Module, hidden: Tensor) -> Tensor:
    merged: Tensor = merger(hidden.flatten(0, 1))
    return merged.view(hidden.shape[0], -1, merged.shape[-1])
