"""Tensors of a safetensors file, read by numpy alone: the header, and then those that are wanted, one at a time.

Nothing is mapped or kept open. Knows no adapter and no model; whoever reads knows which tensors to expect.
Source: the format's description, https://github.com/huggingface/safetensors#format.
"""

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

Shape = tuple[int, ...]

BLOCK_NUMBERS = 4_000_000
"""So many numbers of a tensor are in memory at a time where it is read in blocks."""

_HEADER_BYTES = 64_000_000
# numpy has no bfloat16: its 16 bits are the upper half of a float32.
_STORED: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}


class UnusableError(Exception):
    """A file cannot be used; the sentence says why."""


@dataclass(frozen=True)
class Entry:
    """Where a tensor stands in its file (bytes `start` to `stop`), how it is stored, and its shape."""

    path: Path
    key: str
    dtype: str
    shape: Shape
    start: int
    stop: int


def read_header(path: Path) -> dict[str, Entry]:
    """Every tensor of the file by its key, without reading any.

    Raises:
        UnusableError: not safetensors, cut short, or damaged.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size - 8, _HEADER_BYTES):
                raise UnusableError(f"{path.name} is cut short or not safetensors.")
            header = json.loads(file.read(length))
        entries = {key: _entry(path, key, told, 8 + length) for key, told in header.items() if key != "__metadata__"}
    except (OSError, ValueError, struct.error, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UnusableError(f"{path.name} is not a readable safetensors file.") from error
    stop = max((entry.stop for entry in entries.values()), default=8 + length)
    if stop != size or not all(map(_is_whole, entries.values())):
        raise UnusableError(f"{path.name} is cut short or damaged.")
    return entries


def read_tensor(entry: Entry) -> Float[np.ndarray, "..."]:
    """The whole tensor in float64, whatever it is stored in; NaN and infinity come as they are.

    Raises:
        UnusableError: it holds no floating-point numbers, or the file has changed since.
    """
    blocks = list(read_blocks(entry))
    return np.concatenate([np.empty(0), *blocks]).reshape(entry.shape)


def read_blocks(entry: Entry) -> Iterator[Float[np.ndarray, "numbers"]]:
    """The tensor's numbers in order, in float64, at most `BLOCK_NUMBERS` at a time.

    Raises:
        UnusableError: as `read_tensor`.
    """
    stored = _STORED.get(entry.dtype)
    if stored is None:
        raise UnusableError(f"{entry.key[:120]!r} is stored as {entry.dtype}; only {', '.join(_STORED)} can be read.")
    try:
        with entry.path.open("rb") as file:
            file.seek(entry.start)
            left = math.prod(entry.shape)
            while left:
                raw = np.frombuffer(file.read(min(left, BLOCK_NUMBERS) * stored.itemsize), stored)
                if not raw.size:
                    raise UnusableError(f"{entry.path.name} is cut short or damaged.")
                left -= raw.size
                yield _widened(raw, entry.dtype)
    except (OSError, ValueError) as error:
        raise UnusableError(f"{entry.path.name} cannot be read.") from error


def _entry(path: Path, key: str, told: dict[str, Any], start: int) -> Entry:
    first, last = told["data_offsets"]
    if first < 0:
        raise ValueError(f"{key} begins within the header")
    return Entry(path, key, str(told["dtype"]), tuple(told["shape"]), start + first, start + last)


def _is_whole(entry: Entry) -> bool:
    """Whether shape and place belong together."""
    if not all(isinstance(number, int) and number >= 0 for number in (*entry.shape, entry.start, entry.stop)):
        return False
    stored = _STORED.get(entry.dtype)
    wanted = math.prod(entry.shape) * stored.itemsize if stored else None
    return entry.start <= entry.stop and wanted in (None, entry.stop - entry.start)


def _widened(raw: np.ndarray, dtype: str) -> Float[np.ndarray, "numbers"]:
    if dtype == "BF16":
        raw = (raw.astype("<u4") << 16).view("<f4")
    with np.errstate(invalid="ignore"):  # a signalling NaN is told by whoever checks the numbers
        return raw.astype(np.float64)
