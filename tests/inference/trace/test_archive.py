"""The file that a person downloads opens again; archives that strangers built are refused and leave nothing."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from inference.errors import SessionError
from inference.trace.archive import pack_session, unpack_session
from inference.trace.files import load_session, save_session
from inference.trace.parse import parse_variant
from inference.trace.request import Limits, Request
from tests.fakes import make_picture, make_session
from tests.inference.trace.alike import ARRAYS, assert_alike


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "session.zip"
    pack_session(make_session(images=2), path)
    return path


def test_a_packed_session_opens_again(packed: Path, tmp_path: Path) -> None:
    session = unpack_session(packed, tmp_path / "out" / "again")
    assert_alike(session, make_session(images=2))
    assert_alike(load_session(tmp_path / "out" / "again"), session)
    assert [path.name for path in packed.parent.iterdir()] == ["session.zip"]


def test_a_saved_folder_packs_to_the_same(packed: Path, tmp_path: Path) -> None:
    save_session(make_session(images=2), tmp_path / "saved")
    (tmp_path / "saved" / "notes.txt").write_text("not ours")
    pack_session(tmp_path / "saved", tmp_path / "second.zip")
    with zipfile.ZipFile(packed) as one, zipfile.ZipFile(tmp_path / "second.zip") as other:
        assert one.namelist() == other.namelist()
        assert all(one.read(name) == other.read(name) for name in one.namelist())


def test_only_a_saved_folder_can_be_packed(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(SessionError, match="a folder with a saved session"):
            pack_session(folder, tmp_path / "made.zip")
    assert list(tmp_path.iterdir()) == []


def test_the_largest_session_that_may_be_asked_for_opens_again(tmp_path: Path) -> None:
    limits = Limits()
    variants = tuple(parse_variant(f"a{number}") for number in range(limits.variants))
    pictures = tuple(make_picture() for _ in range(limits.images))
    session = make_session(Request("What is red?", pictures, variants))
    pack_session(session, tmp_path / "session.zip")
    assert_alike(unpack_session(tmp_path / "session.zip", tmp_path / "again"), session)


@pytest.mark.parametrize("name", ARRAYS)
def test_numbers_that_are_no_shares_are_refused(tmp_path: Path, name: str) -> None:
    save_session(make_session(), tmp_path / "made")
    array = np.load(tmp_path / "made" / f"{name}-1.npy")
    array[5, -1] = np.nan
    np.save(tmp_path / "made" / f"{name}-1.npy", array)
    pack_session(tmp_path / "made", tmp_path / "session.zip")
    refused(tmp_path / "session.zip", tmp_path, f"the {name.replace('_', ' ')} of shortcut are no shares")


def refused(path: Path, tmp_path: Path, message: str, gigabytes: float = 4.0) -> None:
    room = tmp_path / "room"
    room.mkdir(exist_ok=True)
    with pytest.raises(SessionError, match=message):
        unpack_session(path, room / "again", gigabytes=gigabytes)
    assert list(room.iterdir()) == []


def rebuilt(packed: Path, tmp_path: Path, names: dict[str, str], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A copy of a packed session in which some files have other names."""
    path = tmp_path / "rebuilt.zip"
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(path, "w", method) as target:
        for name in source.namelist():
            target.writestr(names.get(name, name), source.read(name))
    return path


@pytest.mark.parametrize(
    "name",
    [
        "rows-0.png",
        "picture-0.npy",
        "maps-0.npy",
        "../rows-0.npy",
        "/rows-0.npy",
        "a/rows-0.npy",
        "rows-0.py",
        "rows-0.npy/",
        "ROWS-0.npy",
        "rows-0.npy\n",
    ],
)
def test_other_names_are_refused(packed: Path, tmp_path: Path, name: str) -> None:
    refused(rebuilt(packed, tmp_path, {"rows-0.npy": name}), tmp_path, "holds other things")


def test_an_archive_without_a_session_is_refused(packed: Path, tmp_path: Path) -> None:
    refused(rebuilt(packed, tmp_path, {"session.json": "picture-7.png"}), tmp_path, "an archive of something else")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning:zipfile")  # made on purpose
def test_a_name_that_comes_twice_is_refused(packed: Path, tmp_path: Path) -> None:
    refused(rebuilt(packed, tmp_path, {"rows-1.npy": "rows-0.npy"}), tmp_path, "an archive of something else")


def test_slow_compressions_are_refused(packed: Path, tmp_path: Path) -> None:
    refused(rebuilt(packed, tmp_path, {}, method=zipfile.ZIP_LZMA), tmp_path, "holds other things")


def test_too_many_files_are_refused(packed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed, "a") as archive:
        for number in range(250):
            archive.writestr(f"picture-{number + 10}.png", b"")
    refused(packed, tmp_path, "an archive of something else")


def test_a_bomb_is_refused_before_it_is_unpacked(packed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows-9.npy", bytes(20_000_000))
    refused(packed, tmp_path, "grows too much")


def test_a_session_larger_than_allowed_is_refused(packed: Path, tmp_path: Path) -> None:
    refused(packed, tmp_path, r"at most 1e-05 GB, got 0\.0 GB", gigabytes=1e-5)


def test_a_size_that_lies_is_found_out(packed: Path, tmp_path: Path) -> None:
    data = bytearray(packed.read_bytes())
    entry = data.index(b"PK\x01\x02")  # of the central directory, where sizes are read
    size = struct.unpack_from("<I", data, entry + 24)[0]
    struct.pack_into("<I", data, entry + 24, size - 9)
    packed.write_bytes(data)
    refused(packed, tmp_path, "damaged")


def test_a_flipped_byte_is_found(packed: Path, tmp_path: Path) -> None:
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 0xFF
    packed.write_bytes(data)
    refused(packed, tmp_path, "damaged")


@pytest.mark.parametrize("left", [0.0, 0.3, 0.99])
def test_a_file_cut_short_is_refused(packed: Path, tmp_path: Path, left: float) -> None:
    data = packed.read_bytes()
    packed.write_bytes(data[: int(len(data) * left)])
    refused(packed, tmp_path, "a damaged or another file")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "session.zip"
    path.write_text("hello")
    refused(path, tmp_path, "a damaged or another file")
    refused(tmp_path / "missing.zip", tmp_path, "no such file")


def test_nothing_is_written_over(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(SessionError, match="there, which exists"):
        unpack_session(packed, tmp_path / "there")
