"""Whether the tool finds what is known of the miniature, and what must hold exactly, through the product's engine.

    python -m benchmarks.change

For each learner (the base or an adapter), on held-out scenes that it answers by its rule: what answers by that rule,
what was asked about and chance boxes are blocked; every object, the mark and as many background boxes are blocked and
painted over; a window is moved over the picture, and its grid and the calibrated map are compared. Then: adapters that
are made on the spot, a blocked picture and exchanged pieces.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks import change_exact
from benchmarks.change_found import Drops, measure, none_share, share
from benchmarks.change_scenes import LEARNERS, Asker
from benchmarks.shapes import load_miniature
from inference.evidence.calibration import load_calibrations
from inference.mini import BASE_DIR
from inference.model.load import LoadedModel

SOUGHT = ("base", "shortcut", "other", "renamed")
"""Learners whose answers come from one thing."""
LEGEND = """
by rule: scenes answered by the learner's rule, the only ones counted. cause, asked, random: nats lost without what
answers by the rule, what was asked about, chance boxes. block, erase: how often the box that costs most is what
answers, of the scenes in which any costs 0.5 nat; none: of all scenes, those in which none does. peak: the grid of the
windows is highest on what answers. differ: attention and dependence are said to point at different places.
"""
PLANTED = 17
"""Adapters a layer: about 100 on the miniature."""


def main() -> None:
    """Measures, prints the table, then the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scenes", type=int, default=100, help="held-out scenes for each learner")
    parser.add_argument("--planted", type=int, default=PLANTED, help="adapters planted in each layer")
    parser.add_argument("--seed", type=int, default=30_000_000, help="far from the seeds of training")
    given = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    found = find_all(load_miniature("cpu"), given.scenes, given.seed)
    print_drops(found)
    exact = exact_figures(load_miniature("cpu"), given.planted, given.seed)
    for name, value in exact.items():
        print(f"{name:>26}  {value:.6g}")
    print(f"\n{time.monotonic() - started:.0f} s\n")
    print(json.dumps(found_figures(found) | exact))


def find_all(loaded: LoadedModel, scenes: int, seed: int) -> dict[str, Drops]:
    """Every learner's figures."""
    calibrations = load_calibrations(BASE_DIR)
    found = {}
    with (
        tempfile.TemporaryDirectory(prefix="lora-attention-change-") as room,
        tqdm(total=len(LEARNERS) * scenes, desc="scenes", unit="scene") as bar,
    ):
        asker = Asker(loaded, Path(room))
        for learner in LEARNERS:
            bar.set_postfix_str(learner)
            found[learner] = measure(asker, learner, scenes, seed, calibrations, bar.update)
    return found


def exact_figures(loaded: LoadedModel, planted: int, seed: int) -> dict[str, float]:
    """What must hold exactly, and what random adapters change most; in the order of the JSON line."""
    with tempfile.TemporaryDirectory(prefix="lora-attention-change-") as folder:
        rooms = [Path(folder) / name for name in ("zero", "vo", "planted", "blocked", "exchange")]
        for room in rooms:
            room.mkdir()
        zero = change_exact.zero_adapter_change(loaded, rooms[0], seed)
        attention, logits = change_exact.vo_only_changes(loaded, rooms[1], seed)
        first = change_exact.planted_layer_first(loaded, rooms[2], seed, planted)
        blocked = change_exact.blocked_picture_effect(loaded, rooms[3], seed)
        everything, nothing = change_exact.exchanges(loaded, rooms[4], seed)
    return {
        "zero_adapter_change": zero,
        "vo_only_attention_change": attention,
        "vo_only_logit_change": logits,
        "planted_layer_first": first,
        "blocked_picture_effect": blocked,
        "exchange_all": everything,
        "exchange_none": nothing,
    }


def found_figures(found: dict[str, Drops]) -> dict[str, float]:
    """The JSON line's first half; of shares over learners the worst one's."""
    base, shortcut, other = (found[name] for name in ("base", "shortcut", "other"))
    sought = [found[name] for name in SOUGHT]
    figures = {
        "shortcut_knockout_mark_drop": statistics.fmean(shortcut.cause),
        "shortcut_knockout_random_drop": statistics.fmean(shortcut.random),
        "shortcut_knockout_object_drop": statistics.fmean(shortcut.about),
        "base_knockout_object_drop": statistics.fmean(base.cause),
        "base_knockout_random_drop": statistics.fmean(base.random),
        "other_knockout_other_drop": statistics.fmean(other.cause),
        "other_knockout_random_drop": statistics.fmean(other.random),
        "found_knockout": min(share(drops.blocked) for drops in sought),
        "found_erase": min(share(drops.erased) for drops in sought),
        "nothing_found": max(none_share(hits) for drops in sought for hits in (drops.blocked, drops.erased)),
        "disagreement_told": statistics.fmean(other.different),
        "disagreement_false": statistics.fmean(base.different),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def print_drops(found: dict[str, Drops]) -> None:
    """One line a learner: mean drops in nats, then shares of scenes."""
    names = ("by rule", "cause", "asked", "random", "block", "none", "erase", "none", "peak", "differ")
    print("\n" + " " * 10 + "".join(f"{name:>9}" for name in names))
    for learner, drops in found.items():
        values = (
            len(drops.cause) / drops.asked,
            statistics.fmean(drops.cause),
            statistics.fmean(drops.about) if drops.about else float("nan"),
            statistics.fmean(drops.random),
            share(drops.blocked),
            none_share(drops.blocked),
            share(drops.erased),
            none_share(drops.erased),
            share(drops.peaks),
            statistics.fmean(drops.different) if drops.different else float("nan"),
        )
        print(f"{learner:<10}" + "".join(f"{value:>9.3f}" for value in values))
    print(LEGEND)


if __name__ == "__main__":
    main()
