"""Makes the whole miniature again from a seed: vision tower, text layers, adapters, measuring and cards.

    python -m inference.mini.train --out FOLDER

Each step reads what the one before it wrote, so a run that was cut off goes on with `--steps`. Each process computes
with one thread, two adapters at a time: two threads beside other work are slower than one.
"""

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from inference.mini import BASE_DIR
from inference.mini.adapter_training import LESSONS, train_adapter
from inference.mini.architecture import build_model, build_processor
from inference.mini.card import base_card, model_card
from inference.mini.figures import measure_all
from inference.mini.schedule import muon_and_adam
from inference.mini.storage import load_base, save_base
from inference.mini.text_training import build_bank, train_answers
from inference.mini.vision_training import train_vision
from inference.mini.words import hold_untaught_words, share_words

VISION_STEPS = 1500
BASE_SCENES = 8000
BASE_STEPS = 400
HELD_OUT_SEED = 1_000_000


@dataclass(frozen=True)
class Run:
    """One run's settings: where it writes, its seed, what divides its steps and scenes, how many work at a time."""

    out: Path
    seed: int
    haste: float
    workers: int
    adapters: tuple[str, ...]

    def scaled(self, count: int) -> int:
        """That many steps or scenes in this run's haste, never none."""
        return max(2, int(count / self.haste))

    def rng(self, step: str) -> np.random.Generator:
        """The random numbers of one step, the same whether or not the step before it ran in this process."""
        return np.random.default_rng([self.seed, *step.encode()])


def train_tower(run: Run) -> dict[str, float]:
    """Makes a fresh model, trains its vision tower and saves it; returns what the tower reached."""
    processor = build_processor()
    model = build_model(processor, seed=run.seed)
    reached = train_vision(model, processor.tokenizer, run.rng("vision"), steps=run.scaled(VISION_STEPS))
    save_base(model, processor, base_card(), run.out / "base")
    return reached


def train_text(run: Run) -> dict[str, float]:
    """Trains the text layers of the saved model, the tower frozen, and saves the finished base."""
    model, processor = load_base(run.out / "base")
    rng = run.rng("text")
    bank = build_bank(model, rng, "base", run.scaled(BASE_SCENES))
    steps = run.scaled(BASE_STEPS)
    share_words(model, processor)
    hold_untaught_words(model, processor)
    optimizers = muon_and_adam(model.model.language_model, steps=steps, lr=2e-3)
    right = train_answers(model, processor, bank, rng, learner="base", optimizers=optimizers, steps=steps)
    model.set_attn_implementation("sdpa")
    save_base(model, processor, base_card(), run.out / "base")
    return {"base_right": right}


def train_adapters(run: Run) -> dict[str, float]:
    """Trains every adapter on the saved base, some at a time, each in a process of its own."""
    # spawned, not forked: a fork of a process in which torch has run may hang
    with ProcessPoolExecutor(run.workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        base, out = run.out / "base", run.out / "adapters"
        lessons = {
            name: pool.submit(train_adapter, name, base=base, out=out, seed=run.seed, haste=run.haste)
            for name in run.adapters
        }
        return {f"{name}_right": lesson.result() for name, lesson in lessons.items()}


def measure(run: Run) -> dict[str, float]:
    """Every figure on scenes of a seed that no training used."""
    return measure_all(run.out, scenes=run.scaled(300), seed=HELD_OUT_SEED + run.seed)


STEPS: dict[str, Callable[[Run], dict[str, float]]] = {
    "vision": train_tower,
    "text": train_text,
    "adapters": train_adapters,
    "measure": measure,
}


def train(run: Run, steps: tuple[str, ...]) -> None:
    """Takes these steps, keeps what each reached and how long it took, and writes the card from all kept."""
    run.out.mkdir(parents=True, exist_ok=True)
    log = run.out / "training.json"
    kept: dict[str, dict[str, float]] = json.loads(log.read_text(encoding="utf-8")) if log.exists() else {}
    for step in steps:
        started = time.monotonic()
        reached = STEPS[step](run)
        kept[step] = {**kept.get(step, {}), **reached, "minutes": (time.monotonic() - started) / 60}
        log.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    if set(STEPS) <= set(kept):
        (run.out.parent / "README.md").write_text(model_card(kept), encoding="utf-8")


def _one_thread() -> None:
    torch.set_num_threads(1)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make the embedded miniature again from a seed.")
    parser.add_argument("--out", type=Path, default=BASE_DIR.parent, help="folder for base and adapters")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--adapters", nargs="+", choices=list(LESSONS), default=list(LESSONS))
    parser.add_argument("--haste", type=float, default=1.0, help="divides all steps and scenes, for trials")
    parser.add_argument("--workers", type=int, default=2, help="adapters trained at a time, one thread each")
    given = parser.parse_args()
    _one_thread()
    run = Run(given.out, given.seed, given.haste, given.workers, tuple(given.adapters))
    train(run, tuple(given.steps))


if __name__ == "__main__":
    main()
