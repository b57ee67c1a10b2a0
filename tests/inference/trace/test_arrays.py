"""Arrays that are written piece by piece are what numpy reads; a full disk raises and ends nothing."""

import errno
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inference.errors import SessionError
from inference.trace import arrays
from inference.trace.arrays import ArrayFile, map_array, mapped_file, read_through, save_array

SHAPE = (3, 5, 7)


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).random(SHAPE).astype(np.float32)


@pytest.mark.parametrize("gathered", [0, 3 * 5 * 7 * 4])
def test_places_that_follow_one_another_are_put_together(
    tmp_path: Path, values: np.ndarray, gathered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "GATHERED_BYTES", gathered)
    with ArrayFile(tmp_path / "a.npy", SHAPE, "float32") as file:
        for at in range(5):
            file.put_each(range(1, 3), (at,), values[1:, at])
        file.put_each(range(1), (), values[:1])
        for places, shape in ((range(2, 4), (2, 7)), (range(2), (2, 6)), (range(2), (1, 7)), (range(-1, 1), (2, 7))):
            with pytest.raises(ValueError, match=r"shape|invalid|shorter|longer"):
                file.put_each(places, (0,), np.full(shape, values[2, 0, 0], np.float32))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), values)


@pytest.mark.parametrize("gathered", [0, 3 * 5 * 7 * 4])
def test_pieces_put_in_any_order_are_the_array(
    tmp_path: Path, values: np.ndarray, gathered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "GATHERED_BYTES", gathered)
    places = list(itertools.product(range(3), range(5)))
    np.random.default_rng(1).shuffle(places)
    with ArrayFile(tmp_path / "a.npy", SHAPE, "float32") as file:
        for place in places:
            file.put(place, values[place])
    found = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert found.dtype == np.dtype("<f4")
    np.testing.assert_array_equal(found, values)


def test_a_piece_may_be_of_any_depth_and_what_was_not_put_is_zero(tmp_path: Path, values: np.ndarray) -> None:
    with ArrayFile(tmp_path / "a.npy", SHAPE, "float32") as file:
        file.put((2,), values[2])
        file.put((0, 3), values[0, 3])
        file.put((1, 4, 6), values[1, 4, 6, ...])
    expected = np.zeros(SHAPE, np.float32)
    expected[2], expected[0, 3], expected[1, 4, 6] = values[2], values[0, 3], values[1, 4, 6]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)
    with ArrayFile(tmp_path / "b.npy", SHAPE, "float32") as file:
        file.put((), values)
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), values)


def test_pieces_are_stored_in_the_type_of_the_file_wherever_they_lie(tmp_path: Path, values: np.ndarray) -> None:
    with ArrayFile(tmp_path / "a.npy", (7, 5, 3), "float16") as file:
        for index in range(7):
            file.put((index,), values.T[index])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), values.T.astype(np.float16))


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (4, 0, 2)])
def test_an_array_of_nothing_is_a_file(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with ArrayFile(tmp_path / "a.npy", shape, "float16") as file:
        if shape[0]:
            file.put((0,), np.zeros(shape[1:], np.float16))
    assert np.load(tmp_path / "a.npy").shape == map_array(tmp_path / "a.npy").shape == shape


@pytest.mark.parametrize(
    ("at", "shape"), [((0,), (7,)), ((0,), (7, 5)), ((0, 0), ()), ((), (5, 7)), ((3,), (5, 7)), ((-1,), (5, 7))]
)
def test_values_that_do_not_fit_are_refused_and_change_nothing(
    tmp_path: Path, at: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    with ArrayFile(tmp_path / "a.npy", SHAPE, "float32") as file, pytest.raises(ValueError, match=r"shape|invalid"):
        file.put(at, np.ones(shape, np.float32))
    assert not np.load(tmp_path / "a.npy").any()


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_text("do not lose")
    with pytest.raises(SessionError, match="file exists"):
        ArrayFile(tmp_path / "a.npy", SHAPE, "float32")
    assert (tmp_path / "a.npy").read_text() == "do not lose"


def test_short_writes_are_gone_on_with(tmp_path: Path, values: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    real, sizes = os.pwrite, []

    def write_little(file: int, data: memoryview, start: int) -> int:
        sizes.append(len(data))
        return real(file, data[:13], start)

    monkeypatch.setattr(os, "pwrite", write_little)
    with ArrayFile(tmp_path / "a.npy", SHAPE, "float32") as file:
        file.put((), values)
    assert sizes == list(range(values.nbytes, 0, -13))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), values)


def test_a_full_disk_in_the_middle_is_told(tmp_path: Path, values: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(arrays, "GATHERED_BYTES", 0)
    with ArrayFile(tmp_path / "a.npy", SHAPE, "float32") as file:
        file.put((0,), values[0])
        monkeypatch.setattr(os, "pwrite", refuse)
        with pytest.raises(SessionError, match=r"room on .*, got no space left on device: keep fewer"):
            file.put((1,), values[1])


def test_a_full_disk_at_the_end_is_told_and_hides_no_other_error(
    tmp_path: Path, values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(SessionError, match="no space left"), ArrayFile(tmp_path / "a.npy", SHAPE, "float32") as file:
        file.put((0,), values[0])
    with pytest.raises(KeyError), ArrayFile(tmp_path / "b.npy", SHAPE, "float32"):
        raise KeyError


_AGAINST_A_LIMIT = """
import resource, sys
from pathlib import Path
import numpy as np
from inference.errors import SessionError
from inference.trace.arrays import save_array

resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
path = Path(sys.argv[1])
try:
    save_array(path, np.ones((64, 64), np.float32))
except SessionError as error:
    print(error.arrived, path.exists())
"""


def test_a_file_that_may_not_grow_raises_and_does_not_end_the_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _AGAINST_A_LIMIT, str(tmp_path / "a.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "file too large False\n"


def test_a_mapped_array_reads_what_was_saved_and_cannot_be_written_to(tmp_path: Path, values: np.ndarray) -> None:
    save_array(tmp_path / "a.npy", values)
    mapped = map_array(tmp_path / "a.npy")
    assert isinstance(mapped.base, np.memmap) and not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, values)


def memory_of(path: Path) -> tuple[int, list[str]]:
    """What the kernel tells of the memory that a file is mapped into: how many kB of it are there, and its flags."""
    told = Path("/proc/self/smaps").read_text().split(f"{path}\n", 1)[1]
    size = re.search(r"^Rss: +(\d+) kB$", told, re.MULTILINE)
    flags = re.search(r"^VmFlags: (.*)$", told, re.MULTILINE)
    assert size and flags
    return int(size[1]), flags[1].split()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_mapped_array_takes_the_memory_of_what_was_read_and_gives_it_back(tmp_path: Path) -> None:
    save_array(tmp_path / "a.npy", np.ones((512, 1024), np.float32))
    mapped = map_array(tmp_path / "a.npy")
    assert memory_of(tmp_path / "a.npy")[0] < 256
    assert mapped.sum() == 512 * 1024
    size, flags = memory_of(tmp_path / "a.npy")
    assert size >= 2048 and {"rr"} == {"rr", "sr"} & set(flags)  # read at random: no read-ahead
    for item in read_through(mapped):
        assert item.sum() == 1024
        assert "sr" in memory_of(tmp_path / "a.npy")[1]  # in order: far ahead
    size, flags = memory_of(tmp_path / "a.npy")
    assert size == 0 and {"rr"} == {"rr", "sr"} & set(flags)


def test_an_array_in_memory_is_read_through_as_it_is(values: np.ndarray) -> None:
    np.testing.assert_array_equal(list(read_through(values)), values)
    np.testing.assert_array_equal(list(read_through(values.T)), values.T)


def test_what_is_mapped_keeps_the_old_file_when_a_new_one_is_saved(tmp_path: Path, values: np.ndarray) -> None:
    save_array(tmp_path / "a.npy", values)
    mapped = map_array(tmp_path / "a.npy")
    save_array(tmp_path / "a.npy", mapped[::-1])
    np.testing.assert_array_equal(mapped, values)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), values[::-1])
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_the_file_of_a_whole_mapped_array_is_known_and_of_no_other(tmp_path: Path, values: np.ndarray) -> None:
    save_array(tmp_path / "a.npy", values)
    mapped = map_array(tmp_path / "a.npy")
    assert mapped_file(mapped) == tmp_path / "a.npy"
    others = [values, mapped.copy(), mapped[1:], mapped[:, ::-1], mapped.reshape(5, 3, 7), mapped.view("<i4")]
    plain = np.load(tmp_path / "a.npy", mmap_mode="r")
    others += [plain[1:], plain.transpose(1, 0, 2)]
    assert [mapped_file(other) for other in others] == [None] * 8


@pytest.mark.parametrize("order", ["F", "object", "version 2"])
def test_arrays_of_other_kinds_are_not_mapped(tmp_path: Path, values: np.ndarray, order: str) -> None:
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        if order == "F":
            np.lib.format.write_array(file, np.asfortranarray(values))
        elif order == "object":
            np.lib.format.write_array(file, np.array([{}], object), allow_pickle=True)
        else:
            np.lib.format.write_array(file, values, version=(2, 0))
    with pytest.raises(ValueError, match="another"):
        map_array(path)
