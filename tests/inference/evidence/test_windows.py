"""Cells that a box touches, sliding windows, and windows drawn by chance, on a grid whose sides are primes."""

import pytest

from inference.errors import GeometryError
from inference.evidence.windows import Window, draw_windows, slide, span_of, touched
from inference.trace.session import ImageSpan
from tests.fakes import make_session

SPAN = ImageSpan(3, 3, 5, (160, 96), (50, 60))
"""Cells of 10 px across and 20 px down in the picture as it arrived."""


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 10, 20), Window(0, 0, 1, 1)),
        ((9.9, 19.9, 10.1, 20.1), Window(0, 0, 2, 2)),
        ((10, 20, 30, 40), Window(1, 1, 1, 2)),
        ((-5, 41, 500, 500), Window(2, 0, 1, 5)),
        ((30, 40, 10, 20), Window(1, 1, 1, 2)),
    ],
)
def test_a_box_is_all_cells_that_it_touches(box: tuple[float, float, float, float], expected: Window) -> None:
    assert touched(SPAN, box) == expected


def test_a_window_and_its_box_are_the_same_place() -> None:
    for window in slide(SPAN, 2, 3, 1):
        assert touched(SPAN, window.box(SPAN)) == window


def test_cells_are_numbered_row_by_row() -> None:
    assert Window(1, 2, 2, 3).cells(SPAN) == (7, 8, 9, 12, 13, 14)


def test_windows_reach_the_edges_whatever_the_stride() -> None:
    assert [(window.top, window.left) for window in slide(SPAN, 2, 2, 2)] == [
        (0, 0),
        (0, 2),
        (0, 3),
        (1, 0),
        (1, 2),
        (1, 3),
    ]
    assert slide(SPAN, 3, 5, 1) == (Window(0, 0, 3, 5),)


def test_shared_cells_are_counted() -> None:
    assert Window(0, 0, 2, 3).shared(Window(1, 1, 2, 3)) == 2
    assert Window(0, 0, 2, 2).shared(Window(2, 2, 1, 1)) == 0


def test_windows_drawn_are_others_that_leave_the_box_alone() -> None:
    window = Window(0, 0, 1, 2)
    drawn = draw_windows(SPAN, window, 6, seed=1)
    assert len(set(drawn)) == 6 and {(each.rows, each.cols) for each in drawn} == {(1, 2)}
    assert not any(window.shared(each) for each in drawn)
    assert drawn == draw_windows(SPAN, window, 6, seed=1) != draw_windows(SPAN, window, 6, seed=2)


def test_a_picture_that_was_not_asked_about_is_refused() -> None:
    run = make_session().runs[0]
    assert span_of(run, 0) == run.trace.images[0]
    for image in (1, -1):
        with pytest.raises(GeometryError, match="picture"):
            span_of(run, image)


def test_windows_drawn_share_less_than_half_where_the_picture_is_small() -> None:
    window = Window(0, 1, 2, 3)
    drawn = draw_windows(SPAN, window, 100, seed=1)
    shared = [window.shared(each) for each in drawn]
    assert shared == [2, 2]
    assert draw_windows(SPAN, Window(0, 0, 3, 5), 20, seed=1) == ()
