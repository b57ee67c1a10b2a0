"""An adapter as large as a trained one and without what it learnt: its own numbers in an order that was drawn.

Works on the weights of a file by their keys; knows no model and loads nothing.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float

DOWN, UP = ".lora_A.weight", ".lora_B.weight"


def shuffled(weights: Mapping[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """The weights with the numbers of each factor in another order; whatever is no factor stays.

    Each module's product up @ down is then scaled, by its `up`, to the Frobenius norm that it had; one that is zero
    stays zero. The same seed gives the same weights, whatever their order; factors are float32.
    """
    generator = torch.Generator().manual_seed(seed)
    changed = dict(weights)
    for key in sorted(weights):
        if not key.endswith(DOWN):
            continue
        other = key.removesuffix(DOWN) + UP
        down, up = weights[key].double(), weights[other].double()
        down_drawn, up_drawn = _drawn(down, generator), _drawn(up, generator)
        size = product_norm(up_drawn, down_drawn)
        ratio = product_norm(up, down) / size if size else 0.0
        changed[key], changed[other] = down_drawn.float(), (up_drawn * ratio).float()
    return changed


def product_norm(up: Float[torch.Tensor, "outputs rank"], down: Float[torch.Tensor, "rank inputs"]) -> float:
    """The Frobenius norm of up @ down, which is not formed: root of the trace of (up^T up) (down down^T)."""
    return float(((up.T @ up) * (down @ down.T)).sum().clamp(min=0).sqrt())


def _drawn(factor: Float[torch.Tensor, "rows cols"], generator: torch.Generator) -> Float[torch.Tensor, "rows cols"]:
    order = torch.randperm(factor.numel(), generator=generator)
    return factor.flatten()[order].reshape(factor.shape)
