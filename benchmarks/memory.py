"""What a piece of work takes of memory, of the disk and of the cores, as the system or the device counts it.

Linux alone: the figures come from /proc. Knows nothing of what is measured.
"""

import ctypes
import gc
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

_STATUS = Path("/proc/self/status")
_MINCORE_RESIDENT = 1
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Peak:
    """The most memory in use since `start`, in bytes beyond what was in use then."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._start = 0

    def start(self) -> None:
        """Gives back what is free, and begins anew."""
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
            self._start = torch.cuda.memory_allocated(self._device)
            return
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self._start = status_bytes("VmRSS")

    def extra(self) -> int:
        """Bytes so far."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) - self._start
        return status_bytes("VmHWM") - self._start


class Company:
    """How busy other programs, and other guests of the same computer, keep this machine's cores from now on."""

    def __init__(self) -> None:
        self._before = _core_seconds()

    def share(self) -> float:
        """Of all the cores' time since then, what others had, from 0 to 1: above a few percent, timings say little."""
        busy, idle, own = (now - then for now, then in zip(_core_seconds(), self._before, strict=True))
        return max(0.0, busy - own) / max(busy + idle, 1e-9)


def status_bytes(name: str) -> int:
    """A line of this process's status, such as `VmRSS`, in bytes."""
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def bytes_read() -> int:
    """What this process has had fetched from the disk so far; what was in the cache already is not counted."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))


def forget_files(paths: Iterable[Path]) -> None:
    """Writes these files out and has the system drop them from its cache; a file that is mapped stays in part."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cached_bytes(path: Path) -> int:
    """How much of a file is in the system's cache."""
    size = path.stat().st_size
    pages = np.zeros(-(-size // mmap.PAGESIZE), np.uint8)
    # A private writable map of a file opened to read gives ctypes an address, and is never written.
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, mmap.MAP_PRIVATE) as mapped:
        anchor = (ctypes.c_char * size).from_buffer(mapped)
        library = ctypes.CDLL(None, use_errno=True)
        given = (ctypes.c_void_p(ctypes.addressof(anchor)), ctypes.c_size_t(size), ctypes.c_void_p(pages.ctypes.data))
        failed = library.mincore(*given)
        del anchor
    if failed:
        raise OSError(ctypes.get_errno(), "mincore")
    return int((pages & _MINCORE_RESIDENT).sum()) * mmap.PAGESIZE


def _core_seconds() -> tuple[float, float, float]:
    """Seconds of all cores together that were spent on anything, on nothing, and by this process and its children."""
    line = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
    ticks = [int(field) for field in line.split()[1:9]]  # user, nice, system, idle, iowait, irq, softirq, steal
    idle = ticks[3] + ticks[4]
    own = sum(os.times()[:4])
    return (sum(ticks) - idle) / _TICKS_A_SECOND, idle / _TICKS_A_SECOND, own
