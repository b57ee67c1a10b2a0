"""What is saved comes back equal; what is damaged, newer or foreign is refused with one sentence."""

import json
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import SessionError
from inference.trace.files import load_session, save_session
from inference.trace.request import Generation, Keep, Request, parse_variant
from inference.trace.session import AdapterFacts, Scores, Session, Trace
from tests.fakes import make_picture, make_session
from tests.inference.trace.alike import assert_alike

texts = st.text(st.characters(), max_size=20)  # lone surrogates too: a model may write them
finite = st.floats(allow_nan=False, allow_infinity=False)


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
        keep=Keep(*draw(st.tuples(*[st.booleans()] * 4))),
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
    )
    facts = AdapterFacts("a", "", layers=(0, 3), description=draw(texts))
    return replace(made, runs=(first, *made.runs[1:]), notes=draw(st.tuples(texts, texts)), adapters=(facts,))


@settings(max_examples=25)
@given(session=sessions())
def test_a_session_comes_back_equal(session: Session, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("saved") / "session"
    save_session(session, folder)
    assert_alike(load_session(folder), session)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    save_session(make_session(), folder)
    return folder


def test_the_files_open_with_plain_numpy_and_json(saved: Path) -> None:
    names = sorted(path.name for path in saved.iterdir())
    assert names == ["picture-0.png", "rows-0.npy", "rows-1.npy", "rows-2.npy", "session.json"]
    rows = np.load(saved / "rows-2.npy", allow_pickle=False)
    np.testing.assert_array_equal(rows, make_session().runs[2].trace.rows)
    document = json.loads((saved / "session.json").read_text())
    assert (document["format"], document["version"]) == ("lora-attention-session", 1)
    assert document["session"]["runs"][2]["trace"]["rows"] == "rows-2.npy"


def test_rows_are_mapped_and_cannot_be_written_to(saved: Path) -> None:
    rows = load_session(saved).runs[0].trace.rows
    assert isinstance(rows.base, np.memmap) and not rows.flags.writeable


def test_a_session_without_kept_tokens_comes_back(tmp_path: Path) -> None:
    made = make_session()
    trace = made.runs[0].trace
    empty = replace(made.runs[0], trace=Trace((), trace.rows[:0], trace.images, trace.question_span))
    save_session(replace(made, runs=(empty,)), tmp_path / "empty")
    assert load_session(tmp_path / "empty").runs[0].trace.rows.shape == trace.rows[:0].shape


def test_a_field_that_an_older_program_did_not_know_gets_its_default(saved: Path) -> None:
    edit(saved, lambda session: session.pop("adapters"))
    assert load_session(saved).adapters == ()


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
    assert sorted(path.name for path in saved.iterdir()) == ["picture-0.png", "rows-0.npy", "session.json"]
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]
    np.testing.assert_array_equal(mapped, before)


def test_nothing_else_is_written_over(saved: Path, tmp_path: Path) -> None:
    (saved / "thesis.txt").write_text("do not lose")
    (tmp_path / "file").write_text("do not lose")
    (tmp_path / "empty").mkdir()
    for folder in (saved, tmp_path / "file", tmp_path / "empty"):
        with pytest.raises(SessionError, match=f"{folder.name}, which exists"):
            save_session(make_session(), folder)
    assert (saved / "thesis.txt").exists() and len(list(saved.iterdir())) == 6


def test_no_half_written_session_has_a_sessions_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    real = np.save

    def watch(path: Path, *args: Any, **kwargs: Any) -> None:
        seen.append([entry.name for entry in tmp_path.iterdir()])
        real(path, *args, **kwargs)
        raise OSError("disk full")

    monkeypatch.setattr(np, "save", watch)
    with pytest.raises(OSError, match="disk full"):
        save_session(make_session(), tmp_path / "made")
    assert len(seen) == 1 and seen[0][0].startswith(".partial-")
    assert list(tmp_path.iterdir()) == []


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
        (put("model", "layers", value=7), "the rows of base have the shape (6, 5, 3, 89) and not (6, 7, 3, 89)"),
        (put("model", "patch_px", value=0), "its model's sizes cannot be right"),
        (put("request", "images", 0, "width", value=9), "a damaged one (it holds one of 352 x 224 px, RGB)"),
        (put("request", "images", 0, "png", value="session.json"), "it holds a damaged picture"),
        (put("request", "images", 0, "png", value="../../etc/passwd"), "there is no file '../../etc/passwd'"),
        (put("request", "images", value=[]), "the number of pictures of base cannot be right"),
        (put(*TRACE, "rows", value="/etc/passwd"), "there is no file '/etc/passwd'"),
        (put(*TRACE, "rows", value="rows-9.npy"), "there is no file 'rows-9.npy'"),
        (put(*TRACE, "rows", value="picture-0.png"), "picture-0.png is no whole array"),
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
def test_rows_that_are_no_shares_are_refused(saved: Path, value: float) -> None:
    rows = np.load(saved / "rows-1.npy")
    rows[3, 2, 1, 0] = value
    np.save(saved / "rows-1.npy", rows)
    with pytest.raises(SessionError, match="the rows of shortcut cannot be right"):
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
    with pytest.raises(SessionError, match=r"rows-0\.npy holds no floats"):
        load_session(saved)
    (saved / "rows-0.npy").write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(SessionError, match=r"rows-0\.npy is no whole array"):
        load_session(saved)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["rows-1.npy", "picture-0.png", "session.json"])
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
        ('{"format": "lora-attention-session", "version": 2}', "version 1, got version 2: update this program"),
        ('{"format": "lora-attention-session", "version": "1"}', "its version is not a number"),
        ('{"format": "lora-attention-session", "version": 1}', "session is no group of fields"),
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
