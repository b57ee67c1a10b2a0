"""Asks a running page what its adapters change in each weight, and how alike they are; no model is run for it.

    python examples/weights_client.py http://127.0.0.1:7860 --out out/weights.json

Needs gradio_client alone, neither a model nor the rest of this repository.
"""

import argparse
import json
from pathlib import Path

from gradio_client import Client


def main() -> None:
    """Prints a sentence for each adapter and each pair, and writes all figures as JSON."""
    arguments = _arguments()
    client = Client(arguments.url, verbose=False)
    listed = [facts["name"] for facts in client.predict(api_name="/adapters") if not facts["problems"]]
    names = arguments.adapter or listed[:2]
    told = client.predict(adapters=names, measure="effective_rank", api_name="/weights")
    for one in [*told["adapters"], *told["overlaps"]]:
        print(one["summary"])
    for one in told["problems"]:
        print(f"{one['of']}: {one['problem']}")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: {arguments.out}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="address of a running page")
    parser.add_argument("adapter", nargs="*", help="names of adapters; left out, the first two")
    parser.add_argument("--out", type=Path, default=Path("out/weights.json"), help="file for all figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
