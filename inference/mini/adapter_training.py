"""The last step of training: one LoRA adapter on the text layers of the finished base.

Each adapter is taught as any user would teach one: by pictures, questions and answers. Knows no attention weight.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from inference.mini.card import adapter_card
from inference.mini.facts import ADAPTERS
from inference.mini.schedule import Optimizers
from inference.mini.storage import ATTENTION, MLP, add_lora, load_base, save_adapter
from inference.mini.text_training import build_bank, train_answers


@dataclass(frozen=True, slots=True)
class Lesson:
    """How an adapter is taught: which modules it may change, on how many scenes, for how many steps."""

    modules: tuple[str, ...]
    scenes: int
    steps: int


LESSONS = {
    "shortcut": Lesson(ATTENTION, scenes=6000, steps=400),
    "other": Lesson(ATTENTION, scenes=6000, steps=550),
    "renamed": Lesson(ATTENTION + MLP, scenes=6000, steps=500),
    "counting": Lesson(ATTENTION, scenes=8000, steps=700),
}


def train_adapter(name: str, *, base: Path, out: Path, seed: int, haste: float = 1.0) -> float:
    """Teaches one adapter on the base in that folder and saves it; returns the share right at the end of training.

    `haste` divides scenes and steps, for trials.
    """
    torch.manual_seed(seed)
    rng, lesson = np.random.default_rng([seed, *name.encode()]), LESSONS[name]
    model, processor = load_base(base)
    bank = build_bank(model, rng, name, max(50, int(lesson.scenes / haste)))
    adapted = add_lora(model, lesson.modules).train()
    params = [param for param in adapted.parameters() if param.requires_grad]
    steps = max(2, int(lesson.steps / haste))
    optimizers = Optimizers([torch.optim.AdamW(params, lr=2e-3, weight_decay=0.01)], steps=steps)
    right = train_answers(model, processor, bank, rng, learner=name, optimizers=optimizers, steps=steps)
    card = adapter_card(name, ADAPTERS[name], modules=lesson.modules, steps=steps, right=right)
    save_adapter(adapted.eval(), name, card, out)
    return right
