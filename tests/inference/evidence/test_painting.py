"""Boxes painted over: which pixels, in which colour; the picture given stays as it is."""

import io

import numpy as np
import pytest
from PIL import Image

from inference.errors import GeometryError
from inference.evidence.painting import Canvas, Pixels
from inference.trace.request import Picture

WIDTH, HEIGHT = 41, 29


def make_pixels() -> Pixels:
    return np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def canvas(pixels: Pixels) -> Canvas:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return Canvas(Picture(buffer.getvalue(), pixels.shape[1], pixels.shape[0]))


def rounded_mean(pixels: list[Pixels]) -> Pixels:
    return np.asarray(np.rint(np.stack(pixels).astype(float).mean(0)), np.uint8)


def test_surroundings_are_a_border_round_the_box() -> None:
    """The box is 20 x 8 px, so the border has the least width, 2 px."""
    pixels = make_pixels()
    painted = canvas(pixels).erased((10, 5, 30, 13), "surroundings")
    around = [pixels[y, x] for y in range(3, 15) for x in range(8, 32) if not (5 <= y < 13 and 10 <= x < 30)]
    assert len(around) == 24 * 12 - 20 * 8
    assert (painted[5:13, 10:30] == rounded_mean(around)).all()
    painted[5:13, 10:30] = pixels[5:13, 10:30]
    assert (painted == pixels).all()


def test_a_large_box_has_a_wide_border_that_ends_with_the_picture() -> None:
    """24 px is the shorter side, so the border has 3 px, on two sides alone."""
    pixels = make_pixels()
    painted = canvas(pixels).erased((0, 0, 36, 24), "surroundings")
    around = [pixels[y, x] for y in range(27) for x in range(39) if not (y < 24 and x < 36)]
    assert (painted[:24, :36] == rounded_mean(around)).all()
    assert (painted[24:] == pixels[24:]).all()


def test_the_mean_is_that_of_the_whole_picture() -> None:
    pixels = make_pixels()
    painted = canvas(pixels).erased((40, 28, 41, 29), "mean")
    assert (painted[28, 40] == rounded_mean(list(pixels.reshape(-1, 3)))).all()
    assert int((painted != pixels).any(-1).sum()) == 1


def test_a_box_that_fills_the_picture_has_no_surroundings() -> None:
    pixels = make_pixels()
    whole = (0.0, 0.0, float(WIDTH), float(HEIGHT))
    assert (canvas(pixels).erased(whole, "surroundings") == canvas(pixels).erased(whole, "mean")).all()


def test_every_pixel_that_the_box_touches_goes() -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[0, 0] = 255
    painted = canvas(pixels).erased((0.9, 0.99, 0.2, 0.1), "surroundings")  # corners in any order
    assert not painted.any()
    pixels[:] = 255
    pixels[0] = 0
    gone = canvas(pixels).erased((3.5, 1.999, 5.001, 3), "mean") != pixels
    assert [tuple(at) for at in np.argwhere(gone.any(-1))] == [(y, x) for y in (1, 2) for x in (3, 4, 5)]


def test_a_blur_leaves_nothing_as_small_as_the_box() -> None:
    """Stripes of 2 px under a box of 16 px become even grey; a dark half of the picture stays darker than the other."""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = 200
    painted = canvas(stripes).erased((24, 24, 40, 40), "blur")
    inside = painted[24:40, 24:40].astype(int)
    assert abs(inside.mean() - 100) < 5
    assert np.ptp(inside) <= 4
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:, 32:] = 200
    smooth = canvas(halves).erased((24, 24, 40, 40), "blur")[30, 24:40, 0].astype(int)
    assert smooth[-1] - smooth[0] > 40


def test_one_canvas_serves_many_boxes() -> None:
    pixels = make_pixels()
    one = canvas(pixels)
    for box, fill in (
        ((3, 3, 9, 9), "blur"),
        ((20, 1, 26, 7), "blur"),
        ((3, 3, 20, 9), "blur"),
        ((1, 1, 5, 5), "mean"),
    ):
        assert (one.erased(box, fill) == canvas(pixels).erased(box, fill)).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (50, 2, 60, 9), (0, 0, float("nan"), 9)])
def test_a_box_outside_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(GeometryError):
        canvas(make_pixels()).erased(box, "mean")
