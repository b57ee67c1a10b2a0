"""COCO's annotations and RefCOCO's references as lines: a box each, and a question made of its name or its sentence.

COCO: {"images": [{id, file_name}], "annotations": [{image_id, category_id, bbox}], "categories": [{id, name}]}.
RefCOCO: a list of references, or an object with "refs" beside COCO's lists; a reference has "sentences" and "bbox", or
an "ann_id" among the annotations. A bbox is left, top, width, height. Pickled references are not opened: a pickle can
run code.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from inference.study.lines import Line, LineError, Reader, picture_at, text_of, with_size

WHERE_THING, WHERE_SENTENCE = "Where is the {name}?", "Where is {name}?"
"""The questions where none is given; {name} is the box's category, or the sentence that refers to it."""

_Row = dict[str, Any]
_Rows = dict[int | str, _Row]


def is_annotations(document: object) -> bool:
    """Whether this is COCO's or RefCOCO's."""
    if isinstance(document, list):
        return any(isinstance(row, dict) and "sentences" in row for row in document)
    return isinstance(document, dict) and ("refs" in document or {"images", "annotations"} <= document.keys())


def annotation_readers(document: Any, root: Path, question: str) -> Iterator[tuple[int, Reader]]:
    """A line for each annotation, or for each sentence of each reference; both are counted from 1."""
    if isinstance(document, list):
        document = {"refs": document}
    images, annotations = _by_id(document, "images"), _by_id(document, "annotations")
    if "refs" in document:
        asked = question or WHERE_SENTENCE
        yield from _reference_readers(_rows(document, "refs"), partial(_reference, root, asked, images, annotations))
        return
    categories = _by_id(document, "categories")
    for number, row in enumerate(_rows(document, "annotations"), start=1):
        yield number, partial(_annotation, root, question or WHERE_THING, images, categories, number, row)


def _annotation(root: Path, question: str, images: _Rows, categories: _Rows, number: int, row: _Row) -> Line:
    if row.get("iscrowd"):
        raise LineError("It marks a crowd, not one thing.")
    picture = picture_at(root, _named(images, row.get("image_id")).get("file_name"))
    asked = _fill(question, _named(categories, row.get("category_id")).get("name"), "category with a name")
    return Line(number, picture, asked, (), with_size(row.get("bbox")))


def _reference_readers(
    references: list[_Row], read: Callable[[int, _Row, object], Line]
) -> Iterator[tuple[int, Reader]]:
    number = 0
    for row in references:
        sentences = row.get("sentences")
        for sentence in sentences if isinstance(sentences, list) and sentences else [None]:
            number += 1
            yield number, partial(read, number, row, sentence)


def _reference(
    root: Path, question: str, images: _Rows, annotations: _Rows, number: int, row: _Row, sentence: object
) -> Line:
    if isinstance(sentence, dict):
        sentence = sentence.get("sent") or sentence.get("raw")
    asked = _fill(question, sentence, "sentence")
    box = with_size(row["bbox"] if "bbox" in row else _named(annotations, row.get("ann_id")).get("bbox"))
    name = _named(images, row.get("image_id")).get("file_name") or _own_name(row.get("file_name"), row.get("ann_id"))
    return Line(number, picture_at(root, name), asked, (), box)


def _own_name(name: object, annotation: object) -> object:
    """The picture's file: RefCOCO puts the number of the annotation behind its name."""
    if not isinstance(name, str) or annotation is None:
        return name
    return re.sub(rf"_{re.escape(str(annotation))}(\.\w+)$", r"\1", name)


def _fill(question: str, name: object, what: str) -> str:
    return question.replace("{name}", text_of(name, what)) if "{name}" in question else question


def _named(rows: _Rows, key: object) -> _Row:
    return rows.get(key, {}) if isinstance(key, int | str) else {}


def _by_id(document: _Row, field: str) -> _Rows:
    return {row["id"]: row for row in _rows(document, field) if isinstance(row.get("id"), int | str)}


def _rows(document: _Row, field: str) -> list[_Row]:
    """The objects of a list; what is none counts as an empty one, so that numbers stay those of the file."""
    rows = document.get(field)
    return [row if isinstance(row, dict) else {} for row in rows] if isinstance(rows, list) else []
