"""Sizes and times of what another thread removes meanwhile."""

import os
from pathlib import Path

import pytest

from inference import disk


def test_files_count_right_in_folders_and_a_folder_is_as_new_as_its_newest_file(tmp_path: Path) -> None:
    (tmp_path / "rows.npy").write_bytes(bytes(7))
    (tmp_path / "means.npy").write_bytes(bytes(11))
    os.utime(tmp_path / "rows.npy", (5_000, 5_000))
    os.utime(tmp_path / "means.npy", (3_000, 3_000))
    os.utime(tmp_path, (2_000, 2_000))
    assert disk.size_on_disk(tmp_path, tmp_path / "rows.npy") == 25
    assert disk.used_at(tmp_path) == 2_000 and disk.written_at(tmp_path) == 5_000


def test_what_is_gone_counts_nothing(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert disk.size_on_disk(gone) == 0 and disk.used_at(gone) == 0 and disk.written_at(gone) == 0


def test_a_folder_that_goes_between_two_looks_counts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "going"
    folder.mkdir()
    look = Path.iterdir

    def look_too_late(path: Path) -> object:
        os.rmdir(path)
        return look(path)

    monkeypatch.setattr(Path, "iterdir", look_too_late)
    assert disk.size_on_disk(folder) == 0
    folder.mkdir()
    assert disk.written_at(folder) == 0
