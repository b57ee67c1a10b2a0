"""An array on disk that is written in pieces, in any order, as a plain .npy file; numpy alone opens it.

Written through the file and not through a map: on a full disk a map would end the process, a file raises. Knows no
session.
"""

import math
import os
from pathlib import Path
from types import TracebackType

import numpy as np

from inference.errors import SessionError


class ArrayFile:
    """A new .npy file of a known shape and type, open for writing; what was not put reads as 0."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.path = path
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._file = path.open("xb", buffering=0)
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._start = self._file.tell()
        self._file.truncate(self._start + math.prod(shape) * self.dtype.itemsize)

    def __enter__(self) -> "ArrayFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def put(self, at: tuple[int, ...], values: np.ndarray) -> None:
        """Writes `array[at] = values`, where `at` names the first axes and `values` covers the others whole.

        Raises:
            SessionError: the disk is full.
            ValueError: the values have another shape.
        """
        if values.shape != self.shape[len(at) :]:
            raise ValueError(f"values of shape {values.shape} for {self.shape} at {at}")
        if not values.size:
            return
        index = int(np.ravel_multi_index(at, self.shape[: len(at)])) if at else 0
        start = self._start + index * values.size * self.dtype.itemsize
        self._write(start, memoryview(np.ascontiguousarray(values, self.dtype).data).cast("B"))

    def _write(self, start: int, data: memoryview) -> None:
        try:
            while data:
                written = os.pwrite(self._file.fileno(), data, start)
                data, start = data[written:], start + written
        except OSError as error:
            raise SessionError(
                "room on the disk for the attention rows",
                (error.strerror or "a failing disk").lower(),
                "keep fewer tokens, layers or heads, or free some space",
            ) from error
