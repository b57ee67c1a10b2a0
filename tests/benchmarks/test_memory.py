"""Memory and disk as the system counts them, on pieces of work whose size is known."""

import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import memory
from benchmarks.memory import Company, Peak, bytes_read, cached_bytes, forget_files, status_bytes

MB = 1_000_000

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux counts in /proc")


def test_a_peak_is_what_was_in_use_at_most_and_begins_anew() -> None:
    peak = Peak(torch.device("cpu"))
    peak.start()
    made = torch.ones(50 * MB, dtype=torch.uint8)
    del made
    assert 49 * MB < peak.extra() < 70 * MB
    peak.start()
    assert peak.extra() < 10 * MB


def test_a_forgotten_file_leaves_the_cache_and_comes_back_when_read(tmp_path: Path) -> None:
    kind = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True).stdout
    if kind.strip() in ("tmpfs", "ramfs"):
        pytest.skip("a file system that is memory itself forgets nothing")
    path = tmp_path / "made.npy"
    np.save(path, np.arange(3 * MB, dtype=np.uint8))
    assert cached_bytes(path) >= 3 * MB
    forget_files([path])
    assert cached_bytes(path) == 0
    before = bytes_read()
    assert np.load(path)[-1] == (3 * MB - 1) % 256
    assert cached_bytes(path) >= 3 * MB
    assert bytes_read() - before >= 3 * MB


def test_the_status_is_told_in_bytes() -> None:
    assert 10 * MB < status_bytes("VmRSS") <= status_bytes("VmSize")


def test_company_is_what_others_take_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    # (busy, idle, own) seconds of two cores: of ten seconds of both, 13 busy, 7 idle, 8 of the 13 our own.
    counts = iter([(100.0, 50.0, 20.0), (113.0, 57.0, 28.0), (101.0, 51.0, 22.0)])
    monkeypatch.setattr(memory, "_core_seconds", lambda: next(counts))
    company = Company()
    assert company.share() == pytest.approx(5 / 20)
    assert company.share() == 0  # Own time is counted finer than the machine's.


def test_own_time_is_part_of_the_cores_time() -> None:
    first, started = memory._core_seconds(), time.process_time()
    while time.process_time() - started < 0.3:
        pass
    busy, _, own = (now - then for now, then in zip(memory._core_seconds(), first, strict=True))
    assert own >= 0.25
    assert busy >= 0.8 * own
