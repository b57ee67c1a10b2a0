"""No map reads more of the arrays than it shows: what is taken of each is counted; axes are distinct primes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from inference.trace import maps
from inference.trace.session import Trace
from tests.fakes import COLS, HEADS, LAYERS, ROWS, make_trace


@pytest.fixture(scope="module")
def full() -> Trace:
    """Nine tokens over two pictures."""
    return make_trace((" a", " long", " cir", "cle", "!"), images=2)


class Watched(np.ndarray):
    """An array that writes down how much is taken of it: what leaves it is watched no more."""

    taken: list[tuple[str, int]]
    name: str

    def __getitem__(self, key: object) -> np.ndarray:
        block: np.ndarray = np.asarray(self)[key]  # type: ignore[call-overload]
        self.taken.append((self.name, block.size))
        return block

    def __array_ufunc__(self, *_: object, **__: object) -> object:
        raise AssertionError(f"all of {self.name} were read")


def watched(trace: Trace) -> tuple[Trace, list[tuple[str, int]]]:
    """The trace with all of its arrays watched, and the list of what is taken of which."""
    taken: list[tuple[str, int]] = []
    views: dict[str, Any] = {}
    for name in ("rows", "layer_means", "head_means", "means", "sums"):
        views[name] = getattr(trace, name).view(Watched)
        views[name].taken, views[name].name = taken, name
    return replace(trace, **views), taken


ONE = ROWS * COLS


@pytest.mark.parametrize(
    ("draw", "reads"),
    [
        (lambda trace: maps.image_map(trace, tokens=[1], layer=2, head=1), ("rows", ONE)),
        (lambda trace: maps.image_map(trace, tokens=[1, 4], layer=2), ("layer_means", 2 * ONE)),
        (lambda trace: maps.image_map(trace, tokens=slice(0, 3), head=1), ("head_means", 3 * ONE)),
        (lambda trace: maps.image_map(trace, tokens=[1]), ("means", ONE)),
        (lambda trace: maps.token_maps(trace, layer=2, head=1), ("rows", 9 * ONE)),
        (lambda trace: maps.token_maps(trace, tokens=[7]), ("means", ONE)),
        (lambda trace: maps.layer_maps(trace, tokens=[1, 5], head=2), ("rows", 2 * LAYERS * ONE)),
        (lambda trace: maps.layer_maps(trace, tokens=[1]), ("layer_means", LAYERS * ONE)),
        (lambda trace: maps.head_maps(trace, tokens=slice(2, 3), layer=4), ("rows", HEADS * ONE)),
        (lambda trace: maps.head_maps(trace, tokens=[1]), ("head_means", HEADS * ONE)),
        (lambda trace: maps.layer_head_share(trace, [3], 1), ("sums", LAYERS * HEADS)),
    ],
)
def test_no_more_is_read_than_is_shown(
    full: Trace, draw: Callable[[Trace], np.ndarray], reads: tuple[str, int]
) -> None:
    trace, taken = watched(full)
    np.testing.assert_array_equal(draw(trace), draw(full))
    assert taken == [reads]


def test_reading_an_array_whole_would_be_seen(full: Trace) -> None:
    trace, taken = watched(full)
    with pytest.raises(AssertionError, match="all of rows"):
        trace.rows.mean(dtype=np.float32)
    assert trace.rows[:, 2].size == taken[0][1] == full.rows[:, 2].size
