"""The lines of a data set: a picture and a question each, perhaps an answer and a box; read from a folder or a file.

A line that cannot be used is told by its number and left out. No path leads out of the folder that the pictures lie in.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from inference.errors import SettingsError
from inference.study.report import Skipped
from inference.trace.metrics import Box

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
METADATA = "metadata.jsonl"
"""The file of lines that a folder of pictures may hold."""
FARTHEST_PX = 1e9
"""No number of a box is farther from zero; without a limit its width, or a number of many digits, is no float."""


@dataclass(frozen=True)
class Line:
    """One line, its picture a file that is there. answers: all that count as right; box: in pixels of the picture."""

    number: int
    picture: Path
    question: str
    answers: tuple[str, ...] = ()
    box: Box | None = None


@dataclass(frozen=True)
class Lines:
    """The usable lines of a set, in order, and those that are not."""

    name: str
    lines: tuple[Line, ...]
    skipped: tuple[Skipped, ...] = ()


class LineError(Exception):
    """Why a line cannot be used, in a sentence; never leaves this package."""


Reader = Callable[[], Line]


def collect(name: str, numbered: Iterable[tuple[int, Reader]], limit: int | None = None) -> Lines:
    """The lines that can be read, at most `limit` of them, and the others up to there with their reasons.

    Raises:
        SettingsError: not one line can be used.
    """
    lines: list[Line] = []
    skipped: list[Skipped] = []
    for number, read in numbered:
        if limit is not None and len(lines) >= limit:
            break
        try:
            lines.append(read())
        except LineError as error:
            skipped.append(Skipped(number, str(error)))
    if not lines:
        first = f"none in {name}"
        if skipped:
            first = f"{len(skipped)} that cannot be used; number {skipped[0].number}: {skipped[0].reason.rstrip('.')}"
        raise SettingsError("at least one picture with a question", first, "correct the data")
    return Lines(name, tuple(lines), tuple(skipped))


def folder_readers(folder: Path, question: str) -> Iterator[tuple[int, Reader]]:
    """Every picture below a folder, in the order of names; its question is in NAME.txt beside it, or `question`."""
    found = sorted(path for path in folder.rglob("[!.]*") if path.suffix.lower() in SUFFIXES and path.is_file())
    for number, path in enumerate(found, start=1):
        yield number, partial(_plain_line, number, path, question)


def file_readers(path: Path, root: Path, question: str) -> Iterator[tuple[int, Reader]]:
    """Every line of a JSONL file that is not empty."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, text in enumerate(file, start=1):
            if text.strip():
                yield number, partial(_json_line, number, text, root, question)


def picture_at(root: Path, name: object) -> Path:
    """The picture of that name below the root.

    Raises:
        LineError: no name, a way out of the root, or no such file.
    """
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise LineError("It names no picture.")
    path = Path(os.path.normpath(root / _writable(name)))
    if not path.is_relative_to(os.path.normpath(root)):
        raise LineError(f"The picture {name[:60]!r} lies outside of the folder of pictures.")
    if not os.path.isfile(path):  # of a name too long, or one that no file system takes, pathlib raises
        raise LineError(f"There is no picture {name[:60]!r}.")
    return path


def corners(value: object) -> Box | None:
    """A box given as left, top, right, bottom; None for None."""
    if value is None:
        return None
    left, top, right, bottom = _four(value)
    if left >= right or top >= bottom:
        raise LineError("Its box has no area; write left, top, right, bottom in pixels.")
    return left, top, right, bottom


def with_size(value: object) -> Box:
    """A box given as COCO does: left, top, width, height."""
    left, top, width, height = _four(value)
    if width <= 0 or height <= 0:
        raise LineError("Its bbox has no area; write left, top, width, height in pixels.")
    return left, top, left + width, top + height


def text_of(value: object, what: str) -> str:
    """A string with something in it, its ends trimmed."""
    if not isinstance(value, str) or not value.strip():
        raise LineError(f"It has no {what}.")
    return _writable(value.strip())


def _plain_line(number: int, path: Path, question: str) -> Line:
    caption = path.with_suffix(".txt")
    given = caption.read_text(encoding="utf-8", errors="replace") if caption.is_file() else question
    _writable(path.name)
    return Line(number, path, text_of(given, f"question: give one with --question, or in {caption.name}"))


def _json_line(number: int, text: str, root: Path, question: str) -> Line:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LineError("It is no JSON.") from error
    if not isinstance(fields, dict):
        raise LineError("It is no JSON object.")
    picture = picture_at(root, _first(fields, "picture", "image", "file_name"))
    box = with_size(fields["bbox"]) if "bbox" in fields and "box" not in fields else corners(fields.get("box"))
    asked = text_of(fields.get("question") or question, "question")
    return Line(number, picture, asked, _answers(fields.get("answer")), box)


def _answers(value: object) -> tuple[str, ...]:
    """One answer, or a list of those that count as right; numbers as they are written, an empty text is none."""
    if value is None or value == "":
        return ()
    given = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int | float) and not isinstance(one, bool) and str(one).strip() for one in given):
        raise LineError("Its answer is no text and no list of texts.")
    return tuple(_writable(str(one).strip()) for one in given)


def _writable(text: str) -> str:
    """The text; JSON may escape half of a character, and a file's name be no text: no report takes either."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise LineError(f"It has half of a character in {text[:60]!a}.") from error
    return text


def _first(fields: dict[str, Any], *names: str) -> object:
    return next((fields[name] for name in names if name in fields), None)


def _four(value: object) -> list[float]:
    if not isinstance(value, list) or len(value) != 4:
        raise LineError("Its box is not four numbers.")
    if not all(isinstance(one, int | float) and not isinstance(one, bool) and abs(one) <= FARTHEST_PX for one in value):
        raise LineError("Its box is not four numbers.")
    return [float(one) for one in value]
