"""What it costs to keep attention rows: a run with capture beside the same run without, and beside eager attention.

    python -m benchmarks.capture --quick

Models of given shapes with random weights read a prompt with a picture and are fed an answer token by token; the rows
of question and answer (32 tokens) in all layers and heads are written to disk as in real use. What capture adds is told
from runs side by side, pass by pass (`benchmarks.capture_lockstep`); memory and eager attention from whole runs that
take turns, in another order each round. Ratios are taken within a round, and told as medians.
"""

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.capture_click import Clicked, measure_clicks
from benchmarks.capture_rounds import Measured, measure
from benchmarks.capture_slopes import Alone, measure_alone, slopes
from benchmarks.capture_ways import WAYS
from benchmarks.shapes import SHAPES, ask, build, cells_for, load_miniature
from inference.model.load import DTYPES

SIZES = (600, 2_300, 4_600)
MINI_CELLS, MINI_ROUNDS = (6, 6), 40
MB = 1e6


def main() -> None:
    """Measures, prints the tables, then the JSON line."""
    given = _arguments()
    started = time.monotonic()
    dtype = given.dtype or ("bfloat16" if given.device == "cuda" else "float32")
    print(f"{given.shape} in {dtype} on {given.device}, {given.attention}, {torch.get_num_threads()} threads")
    loaded = build(SHAPES[given.shape], device=given.device, dtype=DTYPES[dtype], attention=given.attention)
    names = [name for name in WAYS if given.inline or name != "inline"]
    sizes, every = [], 3 if given.quick else 2
    for length in given.sizes or SIZES[: 2 if given.quick else 3]:
        question = ask(loaded.model.config, cells_for(length), device=loaded.device)
        alone, beside = rounds_for(length, quick=given.quick)
        sizes.append(measure(loaded, question, names, rounds=alone, beside=beside, eager_every=every))
        print_size(sizes[-1])
    del loaded
    rows_alone = measure_alone(SHAPES["2b-layers"], torch.device(given.device))
    clicked = measure_clicks(9 if given.quick else 30)
    mini = measure_mini(given.device)
    print_rest(rows_alone, clicked, mini)
    print(f"\n{time.monotonic() - started:.0f} s\n")
    print(json.dumps(figures(sizes, rows_alone, clicked, mini)))


def measure_mini(device: str) -> Measured:
    """The shipped miniature, whose whole run takes some 20 ms."""
    loaded = load_miniature(device)
    question = ask(loaded.model.config, MINI_CELLS, device=loaded.device)
    return measure(loaded, question, ("plain", "ours"), rounds=3, beside=MINI_ROUNDS)


def rounds_for(length: int, *, quick: bool) -> tuple[int, int]:
    """In how many rounds each way runs alone, and ours beside plain: most where runs are short, which vary most."""
    if quick:
        return 1, max(2, 4_800 // length)
    return max(2, 6_000 // length), max(5, 14_000 // length)


def figures(sizes: Sequence[Measured], alone: Sequence[Alone], clicked: Clicked, mini: Measured) -> dict[str, Any]:
    """The JSON line; what eager attention had no room for is null."""
    memory_slope, time_slope = slopes(alone)
    return {
        "sizes": [size.length for size in sizes],
        "overhead": [_rounded(size.overhead) for size in sizes],
        "eager_over_plain": [_rounded(_eager_ratio(size)) for size in sizes],
        "peak_extra_mb": [_rounded(size.rounds.extra_bytes("ours") / MB, 1) for size in sizes],
        "eager_extra_mb": [_rounded(_eager_extra_mb(size), 1) for size in sizes],
        "kept_mb": [_rounded(size.rounds.kept["ours"] / MB, 2) for size in sizes],
        "exact": [size.exact for size in sizes],
        "stored_loss": [size.stored_loss for size in sizes],
        "memory_slope": _rounded(memory_slope),
        "time_slope": _rounded(time_slope),
        "read_mb_per_click": _rounded(clicked.per_click / MB, 2),
        "mini_overhead": _rounded(mini.overhead),
    }


def print_size(size: Measured) -> None:
    """One line a way, the ratios of each round, and by how much rows differ.

    The last column is what other programs had of the cores' time meanwhile: above a few percent, ratios say little.
    """
    taken = size.rounds
    columns = f"{'s':>9}{'over plain':>12}{'rounds':>8}{'extra MB':>10}{'disk MB':>9}{'others':>8}"
    print(f"\n{f'{size.length:,} keys':<14}{columns}")
    for name, costs in taken.costs.items():
        line = f"{name:<14}{taken.seconds(name):>9.3f}{taken.ratio(name):>12.4f}{len(costs):>8}"
        rest = f"{taken.extra_bytes(name) / MB:>10.1f}{taken.kept[name] / MB:>9.2f}{taken.company(name):>8.0%}"
        print(f"{line}{rest}")
    for name in [name for name in taken.costs if name != "plain"]:
        ratios = (cost.seconds / taken.costs["plain"][number].seconds for number, cost in taken.costs[name].items())
        print(f"{name} over plain, each round:", *(f"{ratio:.3f}" for ratio in ratios))
    if size.side_by_side:
        told = " ".join(f"{ratio:.3f}" for ratio in size.side_by_side)
        print(f"ours beside plain, pass by pass: {size.overhead:.4f}, the median of {told}")
    exact = "no room for eager attention" if size.exact is None else f"rows differ from eager by {size.exact:.1e}"
    print(f"{exact}; float16 changes them by {size.stored_loss:.1e}")


def print_rest(alone: Sequence[Alone], clicked: Clicked, mini: Measured) -> None:
    """The rows alone at each length, a click on a large session, the miniature."""
    print(f"\n{'rows alone':<14}{'s':>9}{'queries MB':>12}{'memory MB':>11}{'disk MB':>9}")
    for one in alone:
        parts = f"{one.queries / MB:>12.2f}{one.memory / MB:>11.1f}{one.files / MB:>9.2f}"
        print(f"{f'{one.length:,} keys':<14}{one.seconds:>9.4f}{parts}")
    most, opening = max(clicked.clicks) / MB, clicked.opening / MB
    print(f"\na session of {clicked.session / MB:,.0f} MB: opening it and its first look read {opening:.1f} MB,")
    print(f"a click {clicked.per_click / MB:.2f} MB (at most {most:.2f}) of {len(clicked.clicks)};", end=" ")
    print("after as many the process's own memory")
    print(f"had grown by {clicked.growth / MB:.1f} MB, and {clicked.mapped / MB:.0f} MB more of the files were mapped")
    print_size(mini)


def _eager_ratio(size: Measured) -> float | None:
    return size.rounds.ratio("eager") if "eager" in size.rounds.costs else None


def _eager_extra_mb(size: Measured) -> float | None:
    return size.rounds.extra_bytes("eager") / MB if "eager" in size.rounds.costs else None


def _rounded(number: float | None, digits: int = 4) -> float | None:
    return None if number is None else round(number, digits)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="two sizes and fewer rounds: under 4 minutes on 2 cores")
    parser.add_argument("--shape", choices=SHAPES, default="2b-layers", help="whole shapes need the memory for them")
    parser.add_argument("--sizes", type=int, nargs="+", help="about how many keys, picture and answer included")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=DTYPES, help="float32 on the CPU, bfloat16 on a GPU unless given")
    parser.add_argument("--attention", choices=("sdpa", "flash_attention_2"), default="sdpa")
    parser.add_argument("--inline", action="store_true", help="measure the variant that works inside the attention too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
