"""Makes what the page offers: example pictures, their list, and the finished session that a visitor sees first.

    python -m examples.make

Run it again whenever the miniature was trained anew; a test compares the finished session with the model's answers.
"""

import json
import shutil
from pathlib import Path

from inference.in_process import InProcessEngine
from inference.intake import read_picture
from inference.mini.examples import Example, example_pictures
from inference.protocol import Progress
from inference.settings import Settings
from inference.trace.files import new_folder
from inference.trace.parse import parse_variant
from inference.trace.request import BASE, Request
from inference.trace.session import Session

HERE = Path(__file__).parent
FINISHED = "mark"


def main() -> None:
    """Writes pictures/, examples.json and finished/ beside this file."""
    pictures = HERE / "pictures"
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir()
    examples = example_pictures()
    for example in examples:
        example.image.save(pictures / f"{example.name}.png")
        example.swap.save(pictures / f"{example.name}-swap.png")
    listed = json.dumps([entry(example) for example in examples], indent=2)
    (HERE / "examples.json").write_text(listed + "\n", encoding="utf-8")
    with new_folder(HERE / "finished") as folder:
        answer(request_of(FINISHED), folder)


def entry(example: Example) -> dict[str, object]:
    """One example as the page reads it; pictures are named relative to this folder."""
    return {
        "picture": f"pictures/{example.name}.png",
        "swap": f"pictures/{example.name}-swap.png",
        "question": example.question,
        "title": example.title,
        "shows": example.shows,
        "variants": ["base", *example.adapters],
    }


def request_of(name: str) -> Request:
    """The question of the example of that name, put to the base and its adapters."""
    example = next(example for example in example_pictures() if example.name == name)
    picture = read_picture(HERE / "pictures" / f"{name}.png", name=f"{name}.png", megapixels=1)
    return Request(example.question, (picture,), (BASE, *map(parse_variant, example.adapters)))


def answer(request: Request, folder: Path) -> Session:
    """The miniature's session for a request, written into an empty folder."""
    steps = InProcessEngine(Settings(model="")).run(request, folder)
    return next(step for step in steps if not isinstance(step, Progress))


if __name__ == "__main__":
    main()
