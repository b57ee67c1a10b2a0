"""Chooses, for every wording that the miniature's base was taught, the head and word whose maps show where it looks.

    python -m benchmarks.change_calibrate

Scenes are drawn afresh and no truth about them is used. What is found lies with the model from then on, and is to be
made anew with it.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.change_scenes import Asker
from benchmarks.shapes import load_miniature
from inference.evidence.calibration import FILE_NAME, LEAST_PICTURES, Calibration, calibrate, save_calibrations
from inference.mini import BASE_DIR
from inference.mini.facts import KINDS
from inference.mini.questions import ask
from inference.mini.scenes import sample_scene


def main() -> None:
    """Asks, chooses, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=2 * LEAST_PICTURES, help="for each wording")
    parser.add_argument("--seed", type=int, default=40_000_000, help="far from the seeds of training and of figures")
    parser.add_argument("--out", type=Path, default=BASE_DIR / FILE_NAME)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for calibration in calibrations(given.pictures, given.seed):
        spot = f"layer {calibration.layer} head {calibration.head}, {calibration.back} back"
        print(f"{calibration.label:>18}  {calibration.wording:<42}{spot:<28}{calibration.sharpness:5.2f} bits")
        found.append(calibration)
    save_calibrations(found, given.out)


def calibrations(pictures: int, seed: int) -> Iterator[Calibration]:
    """One for each wording of the base's kinds of question."""
    rng, loaded = np.random.default_rng(seed), load_miniature("cpu")
    for kind in KINDS:
        for wording in range(len(kind.wordings) if kind.taught_to == "base" else 0):
            with tempfile.TemporaryDirectory(prefix="lora-attention-calibrate-") as room:
                asker = Asker(loaded, Path(room))
                scenes = [sample_scene(rng) for _ in range(pictures)]
                texts = [ask(rng, scene, kind.name, wording=wording).text for scene in scenes]
                sessions = [asker.session(scene, text, ["base"]) for scene, text in zip(scenes, texts, strict=True)]
                yield calibrate(sessions, kind.name)


if __name__ == "__main__":
    main()
