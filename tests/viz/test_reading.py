"""How much of a session a click reads: every access to its arrays is counted."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from inference.trace.condense import condense
from inference.trace.request import Keep
from inference.trace.session import ImageSpan, Session, Trace
from tests.fakes import make_session, make_token
from viz import handlers, sums
from viz.seen import STRETCH
from viz.view import Choice

TOKENS, LAYERS, HEADS, ROWS, COLS = 29, 13, 11, 5, 7
SPAN = ImageSpan(3, ROWS, COLS, (COLS * 32, ROWS * 32), (COLS * 32, ROWS * 32))
ARRAYS = ("rows", "layer_means", "head_means", "means", "sums")


@dataclass
class Watched:
    """Stands for an array on disk: says its shape, and counts the bytes of whatever else is asked of it."""

    array: np.ndarray
    read: int = 0
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.shape = self.array.shape

    def __getitem__(self, index: Any) -> np.ndarray:
        part: np.ndarray = self.array[index]
        self.read += part.nbytes
        return part

    def __getattr__(self, name: str) -> Any:
        self.read += self.array.nbytes
        return getattr(self.array, name)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        self.read += self.array.nbytes
        return np.asarray(self.array, dtype)


def watched_session(tokens: int = TOKENS, keep: Keep | None = None) -> Session:
    """Three variants whose traces count what is read of them."""
    session = make_session()
    rng = np.random.default_rng(5)
    said = tuple(make_token(f" w{i}", 40 + i, 40 + i, "question") for i in range(tokens))
    runs = []
    for run in session.runs:
        rows = rng.gamma(0.3, size=(tokens, LAYERS, HEADS, 40 + tokens)).astype(np.float32) + np.float32(1e-6)
        rows /= rows.sum(-1, keepdims=True)
        trace = condense(rows, tokens=said, images=(SPAN,), question_span=(40, 40 + tokens), keep=keep or Keep())
        watched: dict[str, Any] = {name: Watched(getattr(trace, name)) for name in ARRAYS}
        runs.append(replace(run, trace=replace(trace, **watched)))
    return replace(session, runs=tuple(runs), model=replace(session.model, layers=LAYERS, heads=HEADS))


def forget(session: Session) -> None:
    for run in session.runs:
        for name in ARRAYS:
            getattr(run.trace, name).read = 0


def read_by_click(session: Session, choice: Choice) -> list[dict[str, int]]:
    """Bytes read of each variant's arrays by a click, when the page has been shown before."""
    handlers.look("id", session, Choice())
    forget(session)
    handlers.look("id", session, choice)
    return [{name: getattr(run.trace, name).read for name in ARRAYS} for run in session.runs]


def size(trace: Trace) -> int:
    return sum(math.prod(getattr(trace, name).shape) * getattr(trace, name).array.itemsize for name in ARRAYS)


MAP = ROWS * COLS * 2
"""Bytes of one map in float16."""

PARTS = 4 * 4
"""Bytes of the sums of one row: question, first token, rest, picture."""

ONE_TOKEN = LAYERS * HEADS * 4
"""Bytes of a chart: the share on the picture of every head, for one token."""


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (
            Choice(4, 4, 3, 2),
            {"rows": (1 + LAYERS + HEADS + TOKENS) * MAP, "sums": TOKENS * PARTS + ONE_TOKEN},
        ),
        (
            Choice(4, 4, 3, None),
            {
                "rows": HEADS * MAP,
                "layer_means": (1 + LAYERS + TOKENS) * MAP,
                "sums": TOKENS * HEADS * PARTS + ONE_TOKEN,
            },
        ),
        (
            Choice(4, 4, None, 2),
            {
                "rows": LAYERS * MAP,
                "head_means": (1 + HEADS + TOKENS) * MAP,
                "sums": TOKENS * LAYERS * PARTS + ONE_TOKEN,
            },
        ),
        (
            Choice(4, 4),
            {
                "means": (1 + TOKENS) * MAP,
                "layer_means": LAYERS * MAP,
                "head_means": HEADS * MAP,
                "sums": ONE_TOKEN,
            },
        ),
        (
            Choice(4, 6, 3, 2),
            {"rows": (3 * (1 + LAYERS + HEADS) + TOKENS) * MAP, "sums": TOKENS * PARTS + 3 * ONE_TOKEN},
        ),
    ],
    ids=["a head", "a layer", "a head over layers", "the mean of all", "a range of tokens"],
)
def test_a_click_reads_the_slices_that_it_shows_and_nothing_else(choice: Choice, expected: dict[str, int]) -> None:
    session = watched_session()
    for run, read in zip(session.runs, read_by_click(session, choice), strict=True):
        assert read == dict.fromkeys(ARRAYS, 0) | expected
        assert sum(read.values()) < 0.05 * size(run.trace)


def test_hidden_variants_are_not_read() -> None:
    session = watched_session()
    read = read_by_click(session, Choice(4, 4, 3, 2, hidden=("base", "other@0.5")))
    assert [sum(one.values()) > 0 for one in read] == [False, True, False]


def test_the_first_choice_reads_no_array() -> None:
    session = watched_session()
    forget(session)
    handlers.first_choice(session)
    assert all(getattr(run.trace, name).read == 0 for run in session.runs for name in ARRAYS)


def test_what_was_not_kept_is_not_read_and_neither_are_maps_of_other_layers() -> None:
    session = watched_session(keep=Keep(layers=(1, 3), heads=(2, 5, 7)))
    for read in read_by_click(session, Choice(4, 4, 3, 4)):
        assert read["rows"] == 3 * MAP
        assert (read["means"], read["layer_means"], read["head_means"]) == (0, 0, 0)


def test_small_maps_of_a_long_answer_are_read_a_stretch_at_a_time() -> None:
    long = 2 * STRETCH + 5
    session = watched_session(long)
    for token, there in ((0, STRETCH), (STRETCH, STRETCH), (long - 1, 5)):
        for read in read_by_click(session, Choice(token, token)):
            assert read["means"] == (1 + there) * MAP


def test_the_mean_over_all_heads_is_read_once() -> None:
    session = watched_session()
    trace = session.runs[0].trace
    sums.parts_at(trace, None, None)
    whole = math.prod(trace.sums.shape) * 4
    read: Any = trace.sums
    assert read.read == whole
    sums.parts_at(trace, None, None)
    assert read.read == whole
