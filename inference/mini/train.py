"""Makes the whole miniature again from a seed: rendering, base, adapters, cards.

    python -m inference.mini.train --out FOLDER

Each process computes with one thread, two adapters at a time: two threads beside other work are slower than one.
"""

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from inference.mini import BASE_DIR
from inference.mini.adapter_training import LESSONS, train_adapter
from inference.mini.architecture import build_model, build_processor
from inference.mini.card import base_card, model_card
from inference.mini.figures import measure_all
from inference.mini.storage import save_base
from inference.mini.text_training import build_bank, train_answers
from inference.mini.vision_training import train_vision

VISION_STEPS = 1000
BASE_SCENES = 16000
BASE_STEPS = 700


def train_all(out: Path, *, seed: int, haste: float, workers: int) -> None:
    """Trains and saves everything under `out` and writes the card beside it. `haste` divides steps, for trials."""
    minutes: dict[str, float] = {}
    with _timed(minutes, "base"):
        reached = train_base(out / "base", seed=seed, haste=haste)
    with _timed(minutes, "adapters"):
        train_adapters(out, seed=seed, haste=haste, workers=workers)
    with _timed(minutes, "measuring"):
        figures = measure_all(out, scenes=max(20, int(300 / haste)), seed=seed + 1_000_000)
    (out.parent / "README.md").write_text(model_card(figures, reached, minutes), encoding="utf-8")


def train_base(folder: Path, *, seed: int, haste: float) -> dict[str, float]:
    """Trains the base and saves it; returns what the vision tower reached."""
    torch.set_num_threads(1)
    started, rng = time.monotonic(), np.random.default_rng(seed)
    processor = build_processor()
    model = build_model(processor, seed=seed)
    reached = train_vision(model, processor.tokenizer, rng, steps=max(2, int(VISION_STEPS / haste)))
    bank = build_bank(model, rng, "base", max(50, int(BASE_SCENES / haste)))
    params = list(model.model.language_model.parameters())
    steps = max(2, int(BASE_STEPS / haste))
    train_answers(model, processor, bank, rng, learner="base", params=params, steps=steps)
    model.set_attn_implementation("sdpa")
    save_base(model, processor, base_card(minutes=(time.monotonic() - started) / 60), folder)
    return reached


def train_adapters(out: Path, *, seed: int, haste: float, workers: int) -> None:
    """Trains every adapter on the base under `out`, some at a time, each in a process of its own."""
    # spawned, not forked: a fork of a process in which torch has run may hang
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        lessons = [
            pool.submit(
                train_adapter, name, base=out / "base", out=out / "adapters", seed=seed + n, haste=haste
            )
            for n, name in enumerate(LESSONS, start=1)
        ]
        for lesson in lessons:
            lesson.result()


def _one_thread() -> None:
    torch.set_num_threads(1)


@contextmanager
def _timed(minutes: dict[str, float], step: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    minutes[step] = (time.monotonic() - started) / 60


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make the embedded miniature again from a seed.")
    parser.add_argument("--out", type=Path, default=BASE_DIR.parent, help="folder for base and adapters")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--haste", type=float, default=1.0, help="divides all steps and scenes, for trials")
    parser.add_argument("--workers", type=int, default=2, help="adapters trained at a time, one thread each")
    given = parser.parse_args()
    train_all(given.out, seed=given.seed, haste=given.haste, workers=given.workers)


if __name__ == "__main__":
    main()
