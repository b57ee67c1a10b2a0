"""Asks a running page as a program does: lists the adapters, asks about a picture, and fetches one map.

    python examples/client.py http://127.0.0.1:7860 --out out/client

Needs gradio_client alone, neither a model nor the rest of this repository.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from gradio_client import Client, handle_file

PICTURE = Path(__file__).parent / "pictures" / "mark.png"


def main() -> None:
    """Writes summary.json, session.zip and map.png into the folder, and prints the answers."""
    arguments = _arguments()
    client = Client(arguments.url, verbose=False)
    names = [facts["name"] for facts in client.predict(api_name="/adapters") if not facts["problems"]]
    summary, session_file = client.predict(
        image=handle_file(arguments.picture),
        question=arguments.question,
        variants=["base", *names[:2]],
        settings={"answer_tokens": 16},
        api_name="/analyze",
    )
    for run in summary["runs"]:
        print(f"{run['variant']}: {run['answer']}")
    label = summary["runs"][-1]["variant"]
    map_file, numbers = client.predict(session=summary["session"], variant=label, token=1, api_name="/map")
    print(numbers["summary"])
    _keep(arguments.out, summary, session_file, map_file)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="address of a running page")
    parser.add_argument("--picture", default=str(PICTURE), help="file to ask about")
    parser.add_argument("--question", default="What color is the circle?")
    parser.add_argument("--out", type=Path, default=Path("out/client"), help="folder for what comes back")
    return parser.parse_args()


def _keep(folder: Path, summary: dict[str, Any], session_file: str, map_file: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    shutil.copy(session_file, folder / "session.zip")
    shutil.copy(map_file, folder / "map.png")
    print(f"written: {', '.join(sorted(str(path) for path in folder.iterdir()))}")


if __name__ == "__main__":
    main()
