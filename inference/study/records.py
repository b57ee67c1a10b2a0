"""What is kept of every line that was asked: one JSON line each, written at once, so that a study can go on later.

A record is found again by its key, which stands for the picture, the question, how it was asked and of which model;
what lies in the file under other keys is of other studies and stays.
"""

import base64
import binascii
import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from inference.errors import SessionError, SettingsError
from inference.study.report import Item
from inference.trace.codec import CodecError, Decoder, to_plain
from inference.trace.session import AdapterFacts, ModelFacts

VERSION = 1


@dataclass(frozen=True)
class HeadFigures:
    """What single heads did, over the answer's tokens; variants as in the item's looks.

    shares: of all attention, on the picture. peaks: the cell looked at most, counted row by row, over the base's words;
    map_peaks: of the mean over all layers and heads; own_peaks: over each variant's own words, None where there was no
    knock-out; calibrated_peaks: of the map at the calibrated spot, None where there is none for the question. -1: no
    look at the picture.
    """

    grid_hw: tuple[int, int]
    map_peaks: Int[np.ndarray, "variants"]
    shares: Float[np.ndarray, "variants layers heads"]
    peaks: Int[np.ndarray, "variants layers heads"]
    own_peaks: Int[np.ndarray, "variants layers heads"] | None
    calibrated_peaks: Int[np.ndarray, "variants"] | None


@dataclass(frozen=True)
class Record:
    """One line, asked. picture: SHA-256 of its picture's file, by which lines about one picture are known."""

    key: str
    picture: str
    item: Item
    heads: HeadFigures
    model: ModelFacts
    adapters: tuple[AdapterFacts, ...]


class Records:
    """The records in a file, by key; those wanted alone are held.

    A line that cannot be read, as the last one after a crash, counts as not asked; half a line at the end is cut off.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Record] = {}

    @property
    def folder(self) -> Path:
        """The folder that the file lies in."""
        return self._path.parent

    def read(self, wanted: set[str]) -> None:
        """Holds the records of these keys.

        Raises:
            SessionError: the file cannot be read or written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if not self._path.exists():
                return
            with self._path.open("rb+") as file:
                whole = 0
                for text in file:
                    if text.endswith(b"\n"):
                        whole += len(text)
                        self._found |= {record.key: record for record in _decode(text, wanted)}
                file.truncate(whole)
        except OSError as error:
            raise _disk(self._path, error) from error

    def get(self, key: str) -> Record | None:
        """The record, if it is there."""
        return self._found.get(key)

    def add(self, record: Record) -> None:
        """Writes the record to the disk, so that not even a loss of power takes it back.

        Raises:
            SettingsError: a number of it is not finite.
            SessionError: the disk is full.
        """
        try:
            plain = {"version": VERSION, "record": to_plain(record, _text_of)}
        except CodecError as error:
            raise SettingsError("finite numbers from the model", str(error), "try another precision") from error
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            with self._path.open("ab") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _disk(self._path, error) from error
        self._found[record.key] = record


def key_of(*parts: object) -> str:
    """A name for these parts, plain data or dataclasses of it; equal for equal ones, in any process."""
    plain = [to_plain(part, _text_of) for part in (VERSION, *parts)]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _decode(text: bytes, wanted: set[str]) -> Iterator[Record]:
    """The record of a line, if it is whole and wanted."""
    try:
        plain = json.loads(text)
        if isinstance(plain, dict) and plain.get("version") == VERSION and plain["record"]["key"] in wanted:
            yield Decoder(_bytes_of, _array_of).decode(Record, plain["record"], "record")
    except (ValueError, RecursionError, KeyError, TypeError, CodecError):
        return


def _text_of(field: str, value: bytes | np.ndarray) -> str:
    if isinstance(value, np.ndarray):
        buffer = io.BytesIO()
        if not np.isfinite(value).all():
            raise CodecError(f"others among the {field}")
        np.save(buffer, value, allow_pickle=False)
        value = buffer.getvalue()
    return base64.b64encode(value).decode("ascii")


def _bytes_of(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise CodecError("bytes that are not base64") from error


def _array_of(text: str) -> np.ndarray:
    array: np.ndarray = np.load(io.BytesIO(_bytes_of(text)), allow_pickle=False)
    return array


def _disk(path: Path, error: OSError) -> SessionError:
    problem = (error.strerror or "a failing disk").lower()
    return SessionError(f"a file {path.name} that can be written", problem, "free some space, or write elsewhere")
