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
    """A picture with a question; `shows` says what to look for.

    `variants` are labels to tick, none: those ticked stay. `swap` is a second picture for the same question.
    """

    picture: Path
    question: str
    title: str
    shows: str = ""
    variants: tuple[str, ...] = ()
    swap: Path | None = None


def read_examples(folder: Path) -> tuple[Example, ...]:
    """The examples listed in a folder's `examples.json`: objects with the fields of `Example`.

    Pictures are named relative to the folder. A folder without that file has no examples.
    """
    listed = folder / "examples.json"
    if not listed.is_file():
        return ()
    return tuple(_example(folder, entry) for entry in json.loads(listed.read_text(encoding="utf-8")))


def thumbnails(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """For the browser: a title and a small picture, as a data address, of each example."""
    return [
        {"title": f"{example.title}: {example.question}", "picture": _thumbnail(example.picture)}
        for example in examples
    ]


def _example(folder: Path, entry: dict[str, Any]) -> Example:
    return Example(
        picture=folder / entry["picture"],
        question=entry["question"],
        title=entry["title"],
        shows=entry.get("shows", ""),
        variants=tuple(entry.get("variants", ())),
        swap=folder / entry["swap"] if entry.get("swap") else None,
    )


def _thumbnail(picture: Path) -> str:
    with Image.open(picture) as image:
        small = image.convert("RGB")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
