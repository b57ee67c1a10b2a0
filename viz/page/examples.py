"""The example pictures and questions that the page offers. Knows no engine, no session and no Gradio."""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

THUMBNAIL_PX = 96


@dataclass(frozen=True)
class Example:
    """A picture with a question; `variants` are labels to tick, none: those ticked stay."""

    picture: Path
    question: str
    title: str
    variants: tuple[str, ...] = ()


def read_examples(folder: Path) -> tuple[Example, ...]:
    """The examples listed in a folder's `examples.json`: objects with picture, question, title and variants.

    Pictures are named relative to the folder. A folder without that file has no examples.
    """
    listed = folder / "examples.json"
    if not listed.is_file():
        return ()
    return tuple(
        Example(folder / entry["picture"], entry["question"], entry["title"], tuple(entry.get("variants", ())))
        for entry in json.loads(listed.read_text(encoding="utf-8"))
    )


def thumbnails(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """For the browser: title, question and a small picture of each example, as a data address."""
    return [
        {"title": example.title, "question": example.question, "picture": _thumbnail(example.picture)}
        for example in examples
    ]


def _thumbnail(picture: Path) -> str:
    with Image.open(picture) as image:
        small = image.convert("RGB")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
