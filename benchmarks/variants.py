"""What it costs to ask several variants at once: one mixed batch beside a run for each, switching, and a sweep.

    python -m benchmarks.variants

A question is put to the base and two adapters of the miniature through the product's engine, in one batch and one after
another, each of which then looks at the picture anew; the same on layers of the true 2B shape with drawn weights; and
one adapter at seven scales. The two ways take turns; ratios are taken within a round, and told as medians.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.capture_rounds import order
from benchmarks.capture_ways import cost_of
from benchmarks.shapes import SHAPES, ask, build, cells_for, load_miniature
from benchmarks.variants_switching import base_intact, switch_ms
from benchmarks.variants_ways import LayerWays, MiniWays, largest_difference
from inference.model.load import DTYPES

VARIANTS = ("base", "other", "renamed")
SWEEP = ("base", *(f"other@{scale:g}" for scale in (0.25, 0.5, 0.75)), "other", "other@1.25", "other@1.5")
MINI_ROUNDS = 30


@dataclass(frozen=True)
class Pair:
    """Seconds of both ways, round by round."""

    together: tuple[float, ...]
    separate: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median over rounds of one batch over separate runs."""
        return statistics.median(one / other for one, other in zip(self.together, self.separate, strict=True))


def main() -> None:
    """Measures, prints the table, then the JSON line."""
    given = _arguments()
    started = time.monotonic()
    device, dtype = torch.device(given.device), given.dtype or ("bfloat16" if given.device == "cuda" else "float32")
    threads = torch.get_num_threads()
    print(f"{given.shape} in {dtype} on {given.device}, {threads} threads; the miniature in float32 with one")
    torch.set_num_threads(1)
    intact, switched = base_intact(load_miniature(given.device)), switch_ms(load_miniature(given.device))
    mini, sweep = (MiniWays(load_miniature(given.device), labels) for labels in (VARIANTS, SWEEP))
    exact = max(largest_difference(ways.together(), ways.separate()) for ways in (mini, sweep))
    pairs = {
        "mixed": compare(mini.together, mini.separate, device, rounds=given.rounds),
        "sweep": compare(sweep.together, sweep.separate, device, rounds=given.rounds),
    }
    torch.set_num_threads(threads)
    layers = build(SHAPES[given.shape], device=given.device, dtype=DTYPES[dtype])
    question = ask(layers.model.config, cells_for(given.keys), device=layers.device)
    ways = LayerWays(layers, question)
    pairs["mixed_2b"] = compare(ways.together, ways.separate, device, rounds=max(3, given.rounds // 10))
    print_pairs(pairs)
    print(f"\n{time.monotonic() - started:.0f} s\n")
    print(json.dumps(figures(pairs, exact=exact, switch_ms=switched, base_intact=intact)))


def compare(together: Callable[[], Any], separate: Callable[[], Any], device: torch.device, *, rounds: int) -> Pair:
    """Both ways, once each to warm up, then in turns."""
    ways = {"together": together, "separate": separate}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for work in ways.values():
        work()
    for number in range(rounds):
        for name in order(list(ways), number):
            seconds[name].append(cost_of(ways[name], device)[0].seconds)
    return Pair(tuple(seconds["together"]), tuple(seconds["separate"]))


def figures(pairs: dict[str, Pair], *, exact: float, switch_ms: float, base_intact: bool) -> dict[str, float]:
    """The JSON line."""
    return {
        "mixed_over_separate": round(pairs["mixed"].ratio, 4),
        "mixed_over_separate_2b": round(pairs["mixed_2b"].ratio, 4),
        "switch_ms": round(switch_ms, 3),
        "sweep_over_separate": round(pairs["sweep"].ratio, 4),
        "exact": exact,
        "base_intact": int(base_intact),
    }


def print_pairs(pairs: dict[str, Pair]) -> None:
    """One line a comparison: the medians of both ways, of their ratio, and its smallest and largest."""
    print(f"\n{'':<10}{'together s':>12}{'separate s':>12}{'ratio':>8}{'of rounds':>20}")
    for name, pair in pairs.items():
        ratios = sorted(one / other for one, other in zip(pair.together, pair.separate, strict=True))
        medians = f"{statistics.median(pair.together):>12.4f}{statistics.median(pair.separate):>12.4f}"
        print(f"{name:<10}{medians}{pair.ratio:>8.3f}{f'{ratios[0]:.3f} to {ratios[-1]:.3f}':>20}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=MINI_ROUNDS, help="of the miniature; a tenth of the layers")
    parser.add_argument("--shape", choices=SHAPES, default="2b-layers", help="whole shapes need the memory for them")
    parser.add_argument("--keys", type=int, default=600, help="about how many, picture and answer included")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=DTYPES, help="float32 on the CPU, bfloat16 on a GPU unless given")
    return parser.parse_args()


if __name__ == "__main__":
    main()
