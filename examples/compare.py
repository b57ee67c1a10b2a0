"""Asks a running page what an adapter changed: the same words for all, then the change of every head, as numbers.

    python examples/compare.py http://127.0.0.1:7860 --adapter shortcut --out out/change.json

Needs gradio_client alone, neither a model nor the rest of this repository.
"""

import argparse
import json
from pathlib import Path

from gradio_client import Client, handle_file

PICTURE = Path(__file__).parent / "pictures" / "mark.png"


def main() -> None:
    """Prints how sure each variant was of the base's answer and which heads changed most; writes all as JSON."""
    arguments = _arguments()
    client = Client(arguments.url, verbose=False)
    summary, _ = client.predict(
        image=handle_file(arguments.picture),
        question=arguments.question,
        variants=["base", arguments.adapter],
        settings={"words": "base"},
        api_name="/analyze",
    )
    asked = {"session": summary["session"], "b": arguments.adapter}
    # The last index that there is: every variant says the same, so it is the answer's last token in both.
    last = len(summary["runs"][0]["tokens"]) - 1
    heads = client.predict(**asked, token=last, measure="variation", api_name="/compare")
    first = heads["ranked"][0]
    told = client.predict(**asked, token=last, layer=first["layer"], head=first["head"], api_name="/compare")
    for one in told["tokens"]:
        print(f"{one['variant']}: log-probability {one['tokens'][0]['logprob']:.2f} of {one['tokens'][0]['text']!r}")
    for one in heads["ranked"][:3]:
        print(f"layer {one['layer']}, head {one['head']}: total variation {one['value']:.2f}")
    print(f"The map of the first of them moved by {told['cell']['moved']['cells']:.2f} cells.")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"heads": heads, "cell": told}, indent=2) + "\n", encoding="utf-8")
    print(f"written: {arguments.out}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="address of a running page")
    parser.add_argument("--picture", default=str(PICTURE), help="file to ask about")
    parser.add_argument("--question", default="What color is the circle?")
    parser.add_argument("--adapter", default="shortcut", help="label of the variant to compare with the base")
    parser.add_argument("--out", type=Path, default=Path("out/change.json"), help="file for all numbers")
    return parser.parse_args()


if __name__ == "__main__":
    main()
