"""A report as one JSON file. It may come from a stranger: what does not fit is refused, and nothing in it is a path."""

import base64
import binascii
import json
import os
from pathlib import Path

import numpy as np

from inference.errors import SessionError
from inference.study.report import HeadTest, Item, Part, Report
from inference.trace.codec import CodecError, Decoder, Json, to_plain
from inference.trace.files import PARTIAL

FORMAT = "lora-attention-report"
VERSION = 1
MOST_BYTES = 512 * 2**20
_ROUNDING = 1e-3

_A_REPORT = "a report.json written by this program"
_REMEDY = "choose another file, or make the report again"


def save_report(report: Report, path: Path) -> None:
    """Writes the file; it appears under its name when it is whole.

    Raises:
        SessionError: a number is not finite, or the disk is full.
    """
    try:
        plain = to_plain(report, _text_of)
    except CodecError as error:
        raise SessionError("a report of finite numbers", str(error), "make the report again") from error
    text = json.dumps({"format": FORMAT, "version": VERSION, "report": plain}, ensure_ascii=False, allow_nan=False)
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """Writes a file of results; it appears under its name when it is whole.

    Raises:
        SessionError: the disk is full, or the folder cannot be written to.
    """
    partial = path.with_name(f"{PARTIAL}{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8", newline="")
        os.replace(partial, path)
    except OSError as error:
        problem = (error.strerror or "a failing disk").lower()
        raise SessionError(f"room for {path.name}", problem, "free some space, or write elsewhere") from error


def load_report(path: Path) -> Report:
    """The report in a file, equal to what was saved.

    Raises:
        SessionError: another file, a damaged one, one of another version, or one too large.
    """
    try:
        size = path.stat().st_size
        text = path.read_bytes() if size <= MOST_BYTES else b""
    except OSError as error:
        raise SessionError(_A_REPORT, "a file that cannot be read", _REMEDY) from error
    if size > MOST_BYTES:
        raise SessionError(f"a report of at most {MOST_BYTES // 2**20} MB", f"{size / 2**20:,.0f} MB", _REMEDY)
    return parse_report(text)


def parse_report(text: bytes) -> Report:
    """The report in a file's bytes.

    Raises:
        SessionError: something else, damaged, or of another version.
    """
    try:
        report: Report = Decoder(_bytes_of, _no_array).decode(Report, _unwrap(text), "report")
        for part in (report.data, report.general):
            if part is not None:
                _check_part(part, report)
    except CodecError as error:
        raise SessionError(_A_REPORT, f"a damaged one ({error})", _REMEDY) from error
    return report


def _unwrap(text: bytes) -> Json:
    try:
        document = json.loads(text)
        json.dumps(document, ensure_ascii=False).encode()  # half of a character is let in, and could not be shown
    except (ValueError, RecursionError) as error:
        raise SessionError(_A_REPORT, "something else", _REMEDY) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SessionError(_A_REPORT, "something else", _REMEDY)
    if document.get("version") != VERSION:
        raise SessionError(f"a report of version {VERSION}", "another version", "make the report again")
    report: Json = document.get("report")
    return report


def _check_part(part: Part, report: Report) -> None:
    """What readers rely on: a look and a summary for every variant, maps and tests that are full rectangles."""
    if [summary.variant for summary in part.summaries] != (list(report.variants) if part.items else []):
        raise CodecError(f"the summaries of {part.name[:40]!r} are not of its variants")
    for item in part.items:
        _check_item(item, len(report.variants))
    for summary in part.summaries:
        if summary.heads is not None:
            _check_test(summary.heads, (report.model.layers, report.model.heads))
    if part.remaining < 0:
        raise CodecError(f"{part.name[:40]!r} has more items than lines")


def _check_item(item: Item, variants: int) -> None:
    if len(item.looks) != variants or min(item.size_wh) < 1:
        raise CodecError(f"line {item.number} has not one look a variant, or no size")
    if item.box is not None:
        (width, height), (left, top, right, bottom) = item.size_wh, item.box
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise CodecError(f"the box of line {item.number} lies outside of its picture")
    shapes = {_shape(look.grid) for look in item.looks}
    if len(shapes) != 1 or None in shapes:
        raise CodecError(f"line {item.number} has maps of other sizes")
    if not all(_within(look.grid, 0, 1) for look in item.looks):
        raise CodecError(f"the maps of line {item.number} are no shares")


def _check_test(test: HeadTest, size: tuple[int, int]) -> None:
    if {_shape(test.change), _shape(test.p), _shape(test.corrected)} != {size}:
        raise CodecError("a test is not of the model's layers and heads")
    if not (_within(test.change, -1, 1) and _within(test.p, 0, 1) and _within(test.corrected, 0, 1)):
        raise CodecError("a test has numbers that are no changes of shares, or no probabilities")


def _within(grid: tuple[tuple[float, ...], ...], low: float, high: float) -> bool:
    """Whether no number of the grid lies outside by more than rounding."""
    return all(low - _ROUNDING <= min(row) and max(row) <= high + _ROUNDING for row in grid)


def _shape(grid: tuple[tuple[float, ...], ...]) -> tuple[int, int] | None:
    """Rows and columns; None where it is empty or its rows are not alike."""
    lengths = {len(row) for row in grid}
    return (len(grid), lengths.pop()) if len(lengths) == 1 and 0 not in lengths else None


def _text_of(field: str, value: bytes | np.ndarray) -> str:
    if not isinstance(value, bytes):
        raise CodecError(f"an array in {field}")
    return base64.b64encode(value).decode("ascii")


def _bytes_of(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CodecError("a thumbnail is not base64") from error


def _no_array(name: str) -> np.ndarray:
    raise CodecError("an array")
