"""Asks a running page what an answer depends on: attention to a box is cut off, and to random boxes of its size.

    python examples/knockout.py http://127.0.0.1:7860 --box 0 160 32 192 --out out/knockout.json

Needs gradio_client alone, neither a model nor the rest of this repository.
"""

import argparse
import json
from pathlib import Path

from gradio_client import Client, handle_file

PICTURE = Path(__file__).parent / "pictures" / "mark.png"


def main() -> None:
    """Prints for each variant what its answer loses without the box, and beside it without a random one."""
    arguments = _arguments()
    client = Client(arguments.url, verbose=False)
    summary, _ = client.predict(
        image=handle_file(arguments.picture),
        question=arguments.question,
        variants=["base", arguments.adapter],
        settings={},
        api_name="/analyze",
    )
    found = client.predict(
        session=summary["session"], box=arguments.box, targets=["box", "whole"], draws=20, api_name="/knockout"
    )
    print(found["how"])
    for one in found["knocked"]:
        print(one["sentence"])
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"written: {arguments.out}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="address of a running page")
    parser.add_argument("--picture", default=str(PICTURE), help="file to ask about")
    parser.add_argument("--question", default="What color is the circle?")
    parser.add_argument("--adapter", default="shortcut", help="label of the variant to ask beside the base")
    corner = "left, top, right and bottom in pixels; left out, the mark of the picture"
    parser.add_argument("--box", nargs=4, type=float, default=[0, 160, 32, 192], help=corner)
    parser.add_argument("--out", type=Path, default=Path("out/knockout.json"), help="file for all numbers")
    return parser.parse_args()


if __name__ == "__main__":
    main()
