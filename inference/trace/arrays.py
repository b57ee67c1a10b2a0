"""An array on disk that is written in pieces, in any order, as a plain .npy file, and mapped; numpy alone opens it.

Written through the file and not through a map: on a full disk a map would end the process, a file raises. Knows no
session.
"""

import math
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from inference.errors import SessionError

GATHERED_BYTES = 2 * 2**20
"""Arrays up to this size are written in one go: hundreds of small writes took a quarter of a miniature's rows."""


@contextmanager
def telling_of_disk() -> Iterator[None]:
    """Turns an error of the disk into a sentence; most often the disk is full.

    Raises:
        SessionError: something could not be written.
    """
    try:
        yield
    except OSError as error:
        raise SessionError(
            "room on the disk for the attention rows",
            (error.strerror or "a failing disk").lower(),
            "keep fewer tokens, layers or heads, or free some space",
        ) from error


class ArrayFile:
    """A new .npy file of a known shape and type, open for writing; what was not put reads as 0.

    A small array is gathered in memory and written when the file is closed without an error.

    Raises:
        SessionError: the disk is full, here, in `put` or at the end.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.path = path
        self.shape = shape
        self.dtype = np.dtype(dtype)
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        with telling_of_disk():
            self._file = path.open("xb", buffering=0)
            try:
                np.lib.format.write_array_header_1_0(self._file, header)
                self._start = self._file.tell()
                size = math.prod(shape) * self.dtype.itemsize
                self._file.truncate(self._start + size)
            except BaseException:
                self._file.close()
                raise
        self._gathered = np.zeros(shape, self.dtype) if size <= GATHERED_BYTES else None

    def __enter__(self) -> "ArrayFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._file:
            if self._gathered is not None and self._gathered.size and kind is None:
                self._write(self._start, self._gathered)

    def put(self, at: tuple[int, ...], values: np.ndarray) -> None:
        """Writes `array[at] = values`, where `at` names the first axes and `values` covers the others whole.

        Raises:
            ValueError: the values have another shape, or the array has no such place.
        """
        if values.shape != self.shape[len(at) :]:
            raise ValueError(f"values of shape {values.shape} for {self.shape} at {at}")
        index = int(np.ravel_multi_index(at, self.shape[: len(at)])) if at else 0
        if self._gathered is not None:
            self._gathered[at] = values
        elif values.size:
            start = self._start + index * values.size * self.dtype.itemsize
            self._write(start, np.ascontiguousarray(values, self.dtype))

    def put_each(self, places: range, at: tuple[int, ...], values: np.ndarray) -> None:
        """Writes `array[(place, *at)] = value` for each of these places, which follow one another, and its value.

        Raises:
            ValueError: as `put`; then nothing is written.
        """
        inside = range(self.shape[0])[places.start : places.stop] == places
        if not inside or values.shape != (len(places), *self.shape[1 + len(at) :]):
            raise ValueError(f"values of shape {values.shape} for {self.shape} at {places}, {at}")
        if self._gathered is not None:
            axes: tuple[int | slice, ...] = (slice(places.start, places.stop), *at)
            self._gathered[axes] = values
            return
        for place, value in zip(places, values, strict=True):
            self.put((place, *at), value)

    def _write(self, start: int, values: np.ndarray) -> None:
        data = memoryview(values.data).cast("B")
        with telling_of_disk():
            while data:
                written = os.pwrite(self._file.fileno(), data, start)
                data, start = data[written:], start + written


def save_array(path: Path, array: np.ndarray) -> None:
    """Writes an array into a file, which appears under its name when it is whole; what has it mapped keeps the old one.

    Raises:
        SessionError: the disk is full.
    """
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with ArrayFile(partial, array.shape, array.dtype.str) as file:
        for index, item in enumerate(read_through(array)):
            file.put((index,), np.asarray(item))
    os.replace(partial, path)


def map_array(path: Path) -> np.ndarray:
    """The array of an .npy file, mapped and read-only: nothing but its header is read here.

    Raises:
        ValueError, OSError: no whole array of numbers in C order.
    """
    with path.open("rb") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("another version of the .npy format")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
        if is_fortran or dtype.hasobject:
            raise ValueError("an array of another kind")
        if math.prod(shape) == 0:  # nothing can be mapped where there is nothing
            return np.zeros(shape, dtype)
        mapped = np.memmap(file, dtype, "r", file.tell(), shape)
    # No read-ahead: a click reads a few kilobytes here and there. One head of all 40 tokens of a cold 400 MB file is
    # 0.34 MB; with the kernel's read-ahead (8 MB on that disk) it read 334 MB in 362 ms, without 0.49 MB in 21 ms. A
    # contiguous 0.3 MB takes 7 to 22 ms instead of 6 to 14.
    _advise(mapped, mmap.MADV_RANDOM)
    return np.asarray(mapped)


def mapped_file(array: np.ndarray) -> Path | None:
    """The file that the whole of this array is mapped from by `map_array`; None for any other array."""
    whole = array.base
    if not isinstance(whole, np.memmap) or whole.__array_interface__ != array.__array_interface__:
        return None
    return Path(whole.filename) if whole.filename else None


def read_through(array: np.ndarray) -> Iterator[np.ndarray]:
    """The array's items along its first axis, each read once, in order; of one of `map_array`, none stays in memory."""
    mapped = array.base if isinstance(array.base, np.memmap) else None
    if mapped is None:
        yield from array
        return
    # Read ahead here: 1.3 GB that no cache held took 27 s without, and 2 s with it.
    _advise(mapped, mmap.MADV_SEQUENTIAL)
    try:
        for item in array:
            yield item
            _advise(mapped, mmap.MADV_DONTNEED)
    finally:
        _advise(mapped, mmap.MADV_RANDOM)


def _advise(mapped: np.ndarray, advice: int) -> None:
    memory: object = mapped.base
    if isinstance(memory, mmap.mmap):
        memory.madvise(advice)
