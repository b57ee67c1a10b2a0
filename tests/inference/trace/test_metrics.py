"""Boxes on maps, by hand."""

import numpy as np
import pytest

from inference.errors import GeometryError
from inference.trace import maps
from inference.trace.metrics import box_cover, box_figures, box_shares, check_box
from inference.trace.request import Keep
from inference.trace.session import ImageSpan
from tests.fakes import HEADS, LAYERS, make_trace

SPAN = ImageSpan(4, 3, 5, (160, 96), (500, 300))  # a cell is 100 x 100 px of the original


def test_cover_weighs_cells_by_the_area_that_is_covered() -> None:
    cover = box_cover(SPAN, (150, 0, 400, 125))
    expected = np.zeros((3, 5))
    expected[0, 1:4] = 0.5, 1, 1
    expected[1, 1:4] = 0.125, 0.25, 0.25
    np.testing.assert_allclose(cover, expected, atol=1e-6)


def test_the_whole_picture_holds_everything() -> None:
    grid = np.random.default_rng(0).gamma(0.3, size=(3, 5))
    grid *= 0.4 / grid.sum()
    figures = box_figures(grid, SPAN, (0, 0, 500, 300))
    assert (figures.share, figures.within, figures.area, figures.lift) == pytest.approx((0.4, 1, 1, 1))
    assert figures.hit


def test_an_even_map_has_a_lift_of_one() -> None:
    figures = box_figures(np.full((3, 5), 0.01), SPAN, (130, 20, 222, 222))
    assert figures.lift == pytest.approx(1)
    assert figures.area == pytest.approx(92 * 202 / 150_000)


def test_share_and_hit_by_hand() -> None:
    grid = np.zeros((3, 5))
    grid[1, 2], grid[0, 0] = 0.3, 0.1  # the peak's centre lies at (250, 150)
    inside = box_figures(grid, SPAN, (200, 100, 300, 200))
    assert (inside.share, inside.within, inside.lift) == pytest.approx((0.3, 0.75, 0.75 * 15))
    assert inside.hit
    assert not box_figures(grid, SPAN, (200, 100, 249, 200)).hit


def test_a_map_of_nothing_hits_nothing() -> None:
    figures = box_figures(np.zeros((3, 5)), SPAN, (0, 0, 500, 300))
    assert (figures.share, figures.within, figures.lift, figures.hit) == (0, 0, 0, False)


def test_corners_in_any_order_are_cut_to_the_picture() -> None:
    assert check_box((400, 200, -30, 900), (500, 300)) == (0, 200, 400, 300)


@pytest.mark.parametrize("box", [(10, 10, 10, 50), (600, 0, 700, 9), (0, 0, float("nan"), 5), (1, 2, 3)])
def test_boxes_without_area_are_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(GeometryError):
        check_box(box, (500, 300))  # type: ignore[arg-type]


def test_shares_of_all_heads_are_those_of_their_maps() -> None:
    keep = Keep(layers=(0, 3), heads=(2,), numbers="float32")
    trace, box = make_trace(images=2, keep=keep), (40.0, 30.0, 100.0, 190.0)
    found = box_shares(trace, box, tokens=slice(1, 4), image=1)
    assert found.shape == (LAYERS, HEADS)
    assert np.argwhere(np.isfinite(found)).tolist() == [[0, 2], [3, 2]]
    for layer in keep.layers or ():
        grid = maps.image_map(trace, tokens=slice(1, 4), layer=layer, head=2, image=1)
        assert found[layer, 2] == pytest.approx(box_figures(grid, trace.images[1], box).share, abs=1e-7)
