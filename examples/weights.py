"""Tells what adapters change in the weights of the miniature, and draws it; no model is run and no torch is needed.

    python examples/weights.py --out out/weights

The same from the command line: `lora-attention weights shortcut other --base FOLDER --chart weights.png`.
"""

import argparse
from itertools import combinations
from pathlib import Path

from inference.mini import ADAPTERS_DIR, BASE_DIR
from inference.weights.adapter import open_adapter
from inference.weights.base import BaseWeights
from inference.weights.overlap import compare_adapters
from inference.weights.report import weigh_adapter
from inference.weights.summary import OVERLAP_NOTE, overlap_summary, weights_summary
from inference.weights.table import weights_csv
from viz.drawing import saved
from viz.weight_charts import weight_figure


def main() -> None:
    """Prints a sentence for each adapter and each pair; writes weights.csv and weights.png into the folder."""
    arguments = _arguments()
    base = BaseWeights(BASE_DIR)
    opened = [open_adapter(ADAPTERS_DIR / name, base) for name in arguments.adapter]
    weighed = [weigh_adapter(one) for one in opened]
    for weights in weighed:
        print(weights_summary(weights))
    for first, second in combinations(opened, 2):
        print(overlap_summary(compare_adapters(first, second)), OVERLAP_NOTE)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "weights.csv").write_text(weights_csv(weighed), encoding="utf-8")
    (arguments.out / "weights.png").write_bytes(saved(weight_figure(weighed, "ratio"), "png"))
    print(f"written: {', '.join(sorted(str(path) for path in arguments.out.iterdir()))}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter", nargs="*", default=["shortcut", "other"], help="names of built-in adapters")
    parser.add_argument("--out", type=Path, default=Path("out/weights"), help="folder for the table and the chart")
    return parser.parse_args()


if __name__ == "__main__":
    main()
