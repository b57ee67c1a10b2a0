"""Asks a running page how strong an adapter has to be: both answers' probability and the map, from scale 0 to 1.5.

    python examples/sweep.py http://127.0.0.1:7860 --adapter shortcut --out out/sweep.json

Needs gradio_client alone, neither a model nor the rest of this repository.
"""

import argparse
import json
import math
from pathlib import Path

from gradio_client import Client, handle_file

PICTURE = Path(__file__).parent / "pictures" / "mark.png"


def main() -> None:
    """Prints for each scale how likely the base's and the adapter's answer are; writes all as JSON."""
    arguments = _arguments()
    client = Client(arguments.url, verbose=False)
    summary, _ = client.predict(
        image=handle_file(arguments.picture),
        question=arguments.question,
        variants=["base", arguments.adapter],
        settings={},
        api_name="/analyze",
    )
    # The last index that there is in the base's words, which all say in a sweep.
    last = len(summary["runs"][0]["tokens"]) - 1
    found = client.predict(
        session=summary["session"], adapter=arguments.adapter, scales=arguments.scales, token=last, api_name="/sweep"
    )
    print(*found["sentences"])
    for point in found["points"]:
        base, own = _chance(point["base_logprob"]), _chance(point["own_logprob"])
        shares = f"on the picture {point['on_picture']:.2f}, total variation {point['variation']:.2f}"
        print(f"scale {point['scale']:g}: base's answer {base}, {arguments.adapter}'s answer {own}; {shares}")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"written: {arguments.out}")


def _chance(logprob: float | None) -> str:
    return "unknown" if logprob is None else f"{math.exp(logprob):.2f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="address of a running page")
    parser.add_argument("--picture", default=str(PICTURE), help="file to ask about")
    parser.add_argument("--question", default="What color is the circle?")
    parser.add_argument("--adapter", default="shortcut", help="name of the adapter")
    parser.add_argument("--scales", nargs="*", type=float, help="left out: 0 to 1.5 in steps of 0.25")
    parser.add_argument("--out", type=Path, default=Path("out/sweep.json"), help="file for all numbers")
    return parser.parse_args()


if __name__ == "__main__":
    main()
