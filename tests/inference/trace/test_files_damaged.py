"""A session that is damaged, newer or foreign is refused with one sentence that says where; an older field may lack."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.errors import SessionError
from inference.trace.files import check_rows, load_session
from tests.inference.trace.alike import ARRAYS


def edit(folder: Path, change: Callable[[Any], object]) -> None:
    """Changes the `session` part of a saved session's JSON."""
    path = folder / "session.json"
    document = json.loads(path.read_text())
    change(document["session"])
    path.write_text(json.dumps(document))


def put(*where: str | int, value: object) -> Callable[[Any], None]:
    """A change that sets one value deep inside."""

    def change(session: Any) -> None:
        inner = session
        for key in where[:-1]:
            inner = inner[key]
        inner[where[-1]] = value

    return change


def test_a_field_that_an_older_program_did_not_know_gets_its_default(saved: Path) -> None:
    edit(saved, lambda session: session.pop("adapters"))
    assert load_session(saved).adapters == ()


TRACE = ("runs", 0, "trace")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("created", value=5), "session.created is '5'"),
        (put("runs", 0, "timings", "rows_s", value=float("nan")), "rows_s is 'nan'"),
        (put("runs", 0, "timings", "rows_s", value=float("inf")), "rows_s is 'inf'"),
        (put("runs", 0, "timings", "rows_s", value=True), "rows_s is 'True'"),
        (put("runs", 0, "timings", "rows_s", value=10**400), "rows_s is '1000"),
        (put("runs", 0, "timings", value=[1, 2, 3]), "timings is no group of fields"),
        (put("runs", value={}), "runs is no list"),
        (put("runs", value=[]), "its variants cannot be right"),
        (lambda session: session["runs"].append(session["runs"][0]), "its variants cannot be right"),
        (lambda session: session.pop("model"), "lacks or does not know the field 'model'"),
        (put("extra", value=1), "lacks or does not know the field 'extra'"),
        (put("model", "layers", value=7), "the layer means of base have the shape (6, 5, 89) and not (6, 7, 89)"),
        (put("model", "heads", value=2), "the heads of base cannot be right"),
        (put("model", "patch_px", value=0), "its model's sizes cannot be right"),
        (put("request", "images", 0, "width", value=9), "a damaged one (it holds one of 352 x 224 px, RGB)"),
        (put("request", "images", 0, "png", value="session.json"), "there is no file 'session.json'"),
        (put("request", "images", 0, "png", value="rows-0.npy"), "there is no file 'rows-0.npy'"),
        (put("request", "images", 0, "png", value="../../etc/passwd"), "there is no file '../../etc/passwd'"),
        (put("request", "images", value=[]), "the number of pictures of base cannot be right"),
        (put(*TRACE, "rows", value="/etc/passwd"), "there is no file '/etc/passwd'"),
        (put(*TRACE, "rows", value="rows-9.npy"), "there is no file 'rows-9.npy'"),
        (put(*TRACE, "rows", value="picture-0.png"), "there is no file 'picture-0.png'"),
        (put(*TRACE, "rows", value="layer_means-0.npy"), "the rows of base have the shape (6, 5, 89) and not (6, 5, 3"),
        (put(*TRACE, "sums", value="rows-0.npy"), "the sums of base have the shape (6, 5, 3, 89) and not (6, 5, 3, 4)"),
        (put(*TRACE, "keys", value="pictures"), "the rows of base have the shape (6, 5, 3, 89) and not (6, 5, 3, 77)"),
        (put(*TRACE, "keys", value="some"), "trace.keys is 'some'"),
        (put(*TRACE, "length", value=90), "the shape (6, 5, 3, 89) and not (6, 5, 3, 90)"),
        (put(*TRACE, "length", value=0), "the length of base cannot be right"),
        (put(*TRACE, "layers", value=[0, 1, 2, 3, 5]), "the layers of base cannot be right"),
        (put(*TRACE, "layers", value=[0, 1, 2, 3, 3]), "the layers of base cannot be right"),
        (put(*TRACE, "layers", value=[0, 1, 2]), "the shape (6, 5, 3, 89) and not (6, 3, 3, 89)"),
        (put(*TRACE, "heads", value=[0, -1, 2]), "the heads of base cannot be right"),
        (put(*TRACE, "sharpest", "spot", "token", value=6), "the sharpest spot of base cannot be right"),
        (put(*TRACE, "sharpest", "spot", "layer", value=5), "the sharpest spot of base cannot be right"),
        (put(*TRACE, "sharpest", "spot", "head", value=None), "the sharpest spot of base cannot be right"),
        (put(*TRACE, "sharpest", "image", value=1), "the sharpest spot of base cannot be right"),
        (put(*TRACE, "sharpest", "row", value=7), "the sharpest spot of base cannot be right"),
        (put(*TRACE, "sharpest", "col", value=-1), "the sharpest spot of base cannot be right"),
        (put(*TRACE, "sharpest", "usual", value=1.5), "the sharpest spot of base cannot be right"),
        (put(*TRACE, "question_span", value=[3, 999]), "the question's place in base cannot be right"),
        (put(*TRACE, "question_span", value=[1, 2, 3]), "has 3 values and not 2"),
        (put(*TRACE, "tokens", 2, "row_at", value=99999), "the places of the tokens of base cannot be right"),
        (put(*TRACE, "tokens", 2, "position", value=-1), "the places of the tokens of base cannot be right"),
        (put(*TRACE, "tokens", 2, "part", value="nose"), "tokens[2].part is 'nose'"),
        (lambda session: session["runs"][0]["trace"]["tokens"].pop(), "(6, 5, 3, 89) and not (5, 5, 3, 89)"),
        (put(*TRACE, "images", 0, "rows", value=70), "the places of the pictures of base cannot be right"),
        (put(*TRACE, "images", 0, "start", value=-1), "the places of the pictures of base cannot be right"),
        (put(*TRACE, "images", 0, "original_wh", value=[0, 5]), "the places of the pictures of base cannot"),
    ],
)
def test_a_damaged_session_is_refused_and_says_where(
    saved: Path, change: Callable[[Any], object], message: str
) -> None:
    edit(saved, change)
    with pytest.raises(SessionError, match=re.escape(message)):
        load_session(saved)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.25, 1.5])
@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("dtype", ["<f2", "<f4"])
def test_numbers_that_are_no_shares_are_refused(saved: Path, name: str, value: float, dtype: str) -> None:
    for each in ARRAYS[:4]:
        np.save(saved / f"{each}-1.npy", np.load(saved / f"{each}-1.npy").astype(dtype))
    array = np.load(saved / f"{name}-1.npy")
    array[3, 2] = value
    np.save(saved / f"{name}-1.npy", array)
    opened = load_session(saved)
    with pytest.raises(SessionError, match=f"the {name.replace('_', ' ')} of shortcut are no shares"):
        check_rows(opened)


def test_shares_may_exceed_one_by_what_is_rounded(saved: Path) -> None:
    array = np.load(saved / "rows-1.npy")
    array[3, 2, 1, 0] = 1.0005
    np.save(saved / "rows-1.npy", array)
    check_rows(load_session(saved))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("rows", "<f8"), ("rows", ">f4"), ("rows", "<i4"), ("rows", "<f2"), ("means", "<f2"), ("sums", "<f2")],
)
def test_numbers_of_different_kinds_are_refused(saved: Path, name: str, dtype: str) -> None:
    np.save(saved / f"{name}-0.npy", np.load(saved / f"{name}-0.npy").astype(dtype))
    with pytest.raises(SessionError, match=r"the numbers of the .* of base cannot be right"):
        load_session(saved)


@pytest.mark.parametrize("dtype", ["<f8", ">f4", ">f2", "<i4"])
def test_other_numbers_than_halves_and_singles_are_refused(saved: Path, dtype: str) -> None:
    for name in ARRAYS[:4]:
        np.save(saved / f"{name}-0.npy", np.load(saved / f"{name}-0.npy").astype(dtype))
    with pytest.raises(SessionError, match="the numbers of the rows of base cannot be right"):
        load_session(saved)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(saved: Path, tmp_path: Path) -> None:
    mark = tmp_path / "sprung"
    objects = np.empty(1, object)
    objects[0] = Trap(mark)
    np.save(saved / "rows-0.npy", objects, allow_pickle=True)
    with pytest.raises(SessionError, match=r"rows-0\.npy is no whole array"):
        load_session(saved)
    (saved / "rows-0.npy").write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(SessionError, match=r"rows-0\.npy is no whole array"):
        load_session(saved)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["rows-1.npy", "sums-2.npy", "picture-0.png", "session.json"])
@pytest.mark.parametrize("left", [0.0, 0.02, 0.5, 0.95])
def test_a_file_cut_short_is_refused(saved: Path, name: str, left: float) -> None:
    data = (saved / name).read_bytes()
    (saved / name).write_bytes(data[: int(len(data) * left)])
    with pytest.raises(SessionError, match="a damaged one"):
        load_session(saved)


@pytest.mark.parametrize("name", ["rows-1.npy", "picture-0.png"])
def test_a_file_that_is_gone_or_a_link_is_refused(saved: Path, name: str, tmp_path: Path) -> None:
    (saved / name).rename(tmp_path / "elsewhere")
    with pytest.raises(SessionError, match="there is no file"):
        load_session(saved)
    (saved / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SessionError, match="there is no file"):
        load_session(saved)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "got something else"),
        ('{"format": "other"}', "got something else"),
        ('{"format": "lora-attention-session", "version": 3}', "version 2, got version 3: update this program"),
        ('{"format": "lora-attention-session", "version": 1}', "version 2, got version 1: ask the question anew"),
        ('{"format": "lora-attention-session", "version": "2"}', "its version is not a number"),
        ('{"format": "lora-attention-session", "version": 2}', "session is no group of fields"),
        ("{", "session.json is no JSON"),
        ("[" * 100_000, "session.json is no JSON"),
        ("\ufeff\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "session.json is no JSON"),
    ],
)
def test_what_is_foreign_or_newer_is_refused(saved: Path, text: str, message: str) -> None:
    (saved / "session.json").write_text(text, "latin-1")
    with pytest.raises(SessionError, match=re.escape(message)):
        load_session(saved)


def test_a_folder_without_a_session_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(SessionError, match="a folder without one"):
            load_session(folder)
