"""What the embedded miniature can do, where it looks and what its answers depend on, on scenes it never saw.

    python -m benchmarks.mini --scenes 300

Where a head is chosen, it is chosen on further scenes and told of these. Knows nothing of how the weights were made.
"""

import argparse
import json
import time

import torch

from inference.mini.card import BARS
from inference.mini.figures import measure_all


def main() -> None:
    """Measures, prints the table, then the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scenes", type=int, default=300, help="held-out scenes for each figure")
    parser.add_argument("--seed", type=int, default=20_000_000, help="far from the seeds of training")
    given = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    figures = measure_all(scenes=given.scenes, seed=given.seed)
    for key, value in figures.items():
        print(f"{key:>24}  {value:6.3f}  {BARS.get(key, '')}")
    rounded = {key: round(value, 4) for key, value in figures.items()}
    print(json.dumps(rounded | {"scenes": given.scenes, "seconds": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    main()
