"""What is saved comes back equal; what was not written to its end does not open."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import SessionError
from inference.trace.files import check_rows, load_session, save_session, write_session
from inference.trace.parse import parse_variant
from inference.trace.request import Generation, Keep, Keys, Numbers, Request
from inference.trace.session import AdapterFacts, Scores, Session
from tests.fakes import HEADS, LAYERS, make_picture, make_session, make_trace
from tests.inference.trace.alike import ARRAYS, assert_alike

texts = st.text(st.characters(), max_size=20)  # lone surrogates too: a model may write them
finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def keeps(draw: st.DrawFn) -> Keep:
    """Any tokens, layers, heads, keys and numbers of a made trace."""
    layers, heads = (draw(st.none() | st.permutations(range(count)).map(tuple)) for count in (LAYERS, HEADS))
    return Keep(
        question=draw(st.booleans()),
        prompt=draw(st.booleans()),
        layers=layers and layers[: draw(st.integers(0, LAYERS))],
        heads=heads and heads[: draw(st.integers(0, HEADS))],
        keys=draw(st.sampled_from(get_args(Keys))),
        numbers=draw(st.sampled_from(get_args(Numbers))),
    )


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    """Made sessions whose plain fields hold anything that their types allow."""
    images = draw(st.integers(0, 2))
    request = Request(
        draw(texts),
        tuple(make_picture(9 + i, 5, draw(texts)) for i in range(images)),
        (parse_variant("base"), parse_variant("a@-0.25+b")),
        system_prompt=draw(texts),
        generation=Generation(draw(st.integers(1, 99)), draw(st.booleans()), draw(finite), draw(finite)),
        keep=draw(keeps()),
        forced_answer=draw(st.none() | texts),
        max_pixels=draw(st.none() | st.integers(1, 10**9)),
    )
    made = make_session(request, images=images)
    tokens = tuple(
        replace(token, text=draw(texts), scores=token.scores and Scores(draw(finite), draw(finite), ()))
        for token in made.runs[0].trace.tokens
    )
    first = replace(
        made.runs[0],
        answer=draw(texts),
        trace=replace(made.runs[0].trace, tokens=tokens),
        expected_logprob=draw(st.none() | finite),
        eager_error=draw(st.none() | finite),
    )
    facts = AdapterFacts("a", "", layers=(0, 3), description=draw(texts))
    return replace(made, runs=(first, *made.runs[1:]), notes=draw(st.tuples(texts, texts)), adapters=(facts,))


@settings(max_examples=25)
@given(session=sessions())
def test_a_session_comes_back_equal(session: Session, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("saved") / "session"
    save_session(session, folder)
    assert_alike(load_session(folder), session)


def test_the_files_open_with_plain_numpy_and_json(saved: Path) -> None:
    arrays = [f"{name}-{number}.npy" for name in ARRAYS for number in range(3)]
    assert sorted(path.name for path in saved.iterdir()) == sorted([*arrays, "picture-0.png", "session.json"])
    document = json.loads((saved / "session.json").read_text())
    assert (document["format"], document["version"]) == ("lora-attention-session", 2)
    for name in ARRAYS:
        array = np.load(saved / f"{name}-2.npy", allow_pickle=False)
        np.testing.assert_array_equal(array, getattr(make_session().runs[2].trace, name))
        assert document["session"]["runs"][2]["trace"][name] == f"{name}-2.npy"


def test_arrays_are_mapped_and_cannot_be_written_to(saved: Path) -> None:
    for name in ARRAYS:
        array = getattr(load_session(saved).runs[0].trace, name)
        assert isinstance(array.base, np.memmap) and not array.flags.writeable


def test_a_session_without_kept_tokens_comes_back(tmp_path: Path) -> None:
    made = make_session()
    trace = made.runs[0].trace
    arrays = {name: getattr(trace, name)[:0] for name in ARRAYS}
    empty = replace(made.runs[0], trace=replace(trace, tokens=(), sharpest=None, **arrays))
    save_session(replace(made, runs=(empty,)), tmp_path / "empty")
    found = load_session(tmp_path / "empty")
    assert found.runs[0].trace.rows.shape == trace.rows[:0].shape
    check_rows(found)


def test_numpy_numbers_are_stored_as_plain_ones(tmp_path: Path) -> None:
    made = make_session()
    run = replace(made.runs[0], expected_logprob=np.float64(-1.5))
    save_session(replace(made, runs=(run,)), tmp_path / "made")
    assert load_session(tmp_path / "made").runs[0].expected_logprob == -1.5


def test_a_session_of_numbers_that_are_none_is_not_saved_and_leaves_nothing(tmp_path: Path) -> None:
    made = make_session()
    run = replace(made.runs[0], expected_logprob=float("-inf"))
    with pytest.raises(SessionError, match="finite numbers, got the number -inf"):
        save_session(replace(made, runs=(run,)), tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


def test_a_session_that_is_there_is_replaced(saved: Path) -> None:
    mapped = load_session(saved).runs[2].trace.rows
    before = mapped.copy()
    save_session(replace(make_session(), runs=make_session().runs[:1]), saved)
    arrays = [f"{name}-0.npy" for name in ARRAYS]
    assert sorted(path.name for path in saved.iterdir()) == sorted([*arrays, "picture-0.png", "session.json"])
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]
    np.testing.assert_array_equal(mapped, before)


def test_nothing_else_is_written_over(saved: Path, tmp_path: Path) -> None:
    (saved / "thesis.txt").write_text("do not lose")
    (tmp_path / "file").write_text("do not lose")
    (tmp_path / "empty").mkdir()
    for folder in (saved, tmp_path / "file", tmp_path / "empty"):
        with pytest.raises(SessionError, match=f"{folder.name}, which exists"):
            save_session(make_session(), folder)
    assert (saved / "thesis.txt").exists() and len(list(saved.iterdir())) == 5 * 3 + 3


def test_no_half_written_session_has_a_sessions_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    real = os.pwrite

    def write_once(file: int, data: memoryview, start: int) -> int:
        if seen:
            raise OSError(errno.ENOSPC, "No space left on device")
        seen.append([entry.name for entry in tmp_path.iterdir()])
        return real(file, data, start)

    monkeypatch.setattr(os, "pwrite", write_once)
    with pytest.raises(SessionError, match="room on the disk for the attention rows, got no space left on device"):
        save_session(make_session(), tmp_path / "made")
    assert len(seen) == 1 and seen[0][0].startswith(".partial-")
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_into_a_folder_opens(tmp_path: Path) -> None:
    write_session(make_session(), tmp_path)
    assert_alike(load_session(tmp_path), make_session())


def test_arrays_that_lie_there_already_stay_as_they_are_and_others_are_written(saved: Path) -> None:
    opened = load_session(saved)
    before = {path.name: path.stat().st_ino for path in saved.iterdir()}
    runs = (opened.runs[0], replace(opened.runs[1], trace=make_trace(seed=9)), opened.runs[2])
    write_session(replace(opened, runs=runs, notes=("new",)), saved)
    after = {path.name: path.stat().st_ino for path in saved.iterdir()}
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed >= {f"{name}-1.npy" for name in ARRAYS}
    assert not changed & {f"{name}-{number}.npy" for name in ARRAYS for number in (0, 2)}
    assert_alike(load_session(saved), replace(make_session(), runs=runs, notes=("new",)))


def test_arrays_that_change_places_in_a_folder_are_written_anew(saved: Path) -> None:
    opened = load_session(saved)
    turned = replace(opened, runs=opened.runs[::-1])
    write_session(turned, saved)
    assert_alike(load_session(saved), replace(make_session(), runs=make_session().runs[::-1]))


@pytest.mark.parametrize("stop_at", ["rows-1.npy", "picture-0.png", ".partial-session.json"])
def test_a_folder_in_which_writing_stopped_holds_no_session(
    saved: Path, stop_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = {name: getattr(Path, name) for name in ("open", "write_bytes", "write_text")}

    def refusing(name: str) -> Callable[..., object]:
        def call(path: Path, *args: Any, **kwargs: Any) -> object:
            if stop_at in path.name:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real[name](path, *args, **kwargs)

        return call

    for name in real:
        monkeypatch.setattr(Path, name, refusing(name))
    with pytest.raises(SessionError, match="no space left on device"):
        write_session(make_session(), saved)
    monkeypatch.undo()
    with pytest.raises(SessionError, match="a folder without one"):
        load_session(saved)


def test_opening_reads_no_number_of_an_array(saved: Path) -> None:
    for path in saved.glob("*.npy"):
        size = path.stat().st_size
        with path.open("rb+") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            start = file.tell()
            file.write(b"\xff" * (size - start))  # NaN everywhere
    opened = load_session(saved)
    assert np.isnan(opened.runs[0].trace.rows).all()
    with pytest.raises(SessionError, match="the rows of base are no shares"):
        check_rows(opened)
