"""How steps are taken: several optimizers under one rising and falling learning rate. Knows no model's parts."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn


class Optimizers:
    """Optimizers stepped as one: linear rise over the first twentieth, then a half cosine down to zero."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], *, steps: int) -> None:
        self._optimizers = tuple(optimizers)
        rise = max(1, steps // 20)
        self._schedules = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _height(step, rise, steps))
            for optimizer in self._optimizers
        ]

    def step(self, loss: Tensor, *, clip: float = 1.0) -> None:
        """One step down this loss, its gradient's norm clipped for each optimizer."""
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer, schedule in zip(self._optimizers, self._schedules, strict=True):
            params = [param for group in optimizer.param_groups for param in group["params"]]
            nn.utils.clip_grad_norm_(params, clip)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)


def muon_and_adam(module: nn.Module, others: Sequence[nn.Parameter] = (), *, steps: int, lr: float) -> Optimizers:
    """Muon for the matrices of the module's linear layers, AdamW at 2e-3 for its other parameters and `others`."""
    matrices, rest = split_for_muon(module)
    muon = torch.optim.Muon(matrices, lr=lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    return Optimizers([muon, torch.optim.AdamW([*rest, *others], lr=2e-3, weight_decay=0.0)], steps=steps)


def split_for_muon(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The matrices of linear layers, which Muon is for, and all other parameters."""
    matrices = [cast(nn.Parameter, layer.weight) for layer in module.modules() if isinstance(layer, nn.Linear)]
    chosen = {id(param) for param in matrices}
    return matrices, [param for param in module.parameters() if id(param) not in chosen]


def _height(step: int, rise: int, steps: int) -> float:
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))
