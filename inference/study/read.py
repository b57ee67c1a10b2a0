"""Finds out what a data set is, and reads its lines: a folder, JSONL, or COCO's or RefCOCO's annotations as JSON."""

import json
from pathlib import Path

from inference.errors import SettingsError
from inference.study.annotations import annotation_readers, is_annotations
from inference.study.lines import METADATA, Lines, collect, file_readers, folder_readers


def read_lines(source: Path, *, question: str = "", pictures: Path | None = None, limit: int | None = None) -> Lines:
    """The lines of a folder of pictures or of a file, at most `limit`.

    A folder: its `metadata.jsonl`, or every picture below it with the question of NAME.txt beside it or `question`.
    JSONL, a line each: `picture` (or image, file_name), `question`, and perhaps `answer` (or a list of right ones) and
    `box` (left, top, right, bottom) or `bbox` (left, top, width, height). JSON: `inference.study.annotations`, where
    {name} in the question stands for what the box is called. Names of pictures are relative to `pictures`, or to
    where the file lies.

    Raises:
        SettingsError: no such data, another format, or not one line that can be used.
    """
    if source.is_dir() and not (source / METADATA).is_file():
        return collect(source.name, folder_readers(source, question), limit)
    file = source / METADATA if source.is_dir() else source
    root = (pictures or file.parent).absolute()
    if not file.is_file():
        raise SettingsError("a folder of pictures, or a file of lines", f"no {source}", "give one that is there")
    if file.suffix.lower() == ".jsonl":
        return collect(source.name, file_readers(file, root, question), limit)
    return collect(source.name, annotation_readers(_annotations(file), root, question), limit)


def _annotations(file: Path) -> object:
    expected = "JSONL with a line a picture, or COCO's or RefCOCO's annotations as JSON"
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(expected, f"{file.name}, which is no JSON", "write it as one of these") from error
    if not is_annotations(document):
        raise SettingsError(expected, f"{file.name}, which is something else", "write it as one of these")
    return document
