"""Pictures are resized once, by qwen_vl_utils, within the bounds."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from qwen_vl_utils.vision_process import smart_resize

from inference.errors import PictureError, SettingsError
from inference.model.load import LoadedModel
from inference.model.pictures import Bounds, choose_bounds, prepare_pictures
from inference.trace.request import Picture
from tests.inference.model.conftest import make_picture

SIZES = [(200, 100), (61, 433), (611, 83), (1, 1), (192, 192), (1000, 999), (31, 33)]


@pytest.mark.parametrize("wh", SIZES)
def test_the_processor_does_not_resize_a_second_time(loaded: LoadedModel, wh: tuple[int, int]) -> None:
    bounds = Bounds(48 * 48, 300 * 300)
    pixels = prepare_pictures(loaded, [make_picture(*wh)], bounds)
    assert pixels is not None
    height, width = smart_resize(wh[1], wh[0], 32, bounds.min_pixels, bounds.max_pixels)
    assert pixels.resized_whs == ((width, height),)
    assert pixels.grids().tolist() == [[1, height // 16, width // 16]]
    assert pixels.token_counts(2) == [height * width // 32**2]
    assert pixels.values.shape[0] == height * width // 16**2


def test_pixels_are_those_of_the_resized_picture(loaded: LoadedModel) -> None:
    """A picture that fits already arrives untouched: its first patch is its upper left corner, scaled to -1 .. 1."""
    picture = make_picture(96, 64)
    pixels = prepare_pictures(loaded, [picture], Bounds(1024, 10_000))
    assert pixels is not None and pixels.resized_whs == ((96, 64),)
    corner = np.asarray(Image.open(BytesIO(picture.png)).convert("RGB"))[:16, :16] / 127.5 - 1
    patch = pixels.values[0].reshape(3, 2, 16, 16)[:, 0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(patch, corner, atol=1e-6)


def test_several_pictures_keep_their_order_and_shape(loaded: LoadedModel) -> None:
    pixels = prepare_pictures(loaded, [make_picture(64, 96), make_picture(160, 32)], Bounds(1024, 100_000))
    assert pixels is not None
    assert pixels.grids().tolist() == [[1, 6, 4], [1, 2, 10]]


def test_no_picture_gives_none(loaded: LoadedModel) -> None:
    assert prepare_pictures(loaded, [], Bounds(1024, 4096)) is None


@pytest.mark.parametrize("wh", [(4000, 10), (10, 4000)])
def test_a_strip_is_refused(loaded: LoadedModel, wh: tuple[int, int]) -> None:
    with pytest.raises(PictureError, match=r"at most 200 times as long as wide, got made.png with .* px: crop it"):
        prepare_pictures(loaded, [make_picture(*wh)], Bounds(1024, 100_000))


def test_a_strip_that_would_vanish_is_refused(loaded: LoadedModel) -> None:
    with pytest.raises(PictureError, match="sides of at least 32 px after resizing to 4,096 pixels"):
        prepare_pictures(loaded, [make_picture(1900, 10)], Bounds(1024, 4096))


def test_bytes_that_are_no_picture_are_refused(loaded: LoadedModel) -> None:
    with pytest.raises(PictureError, match=r"can be read, got fake.png: save it again"):
        prepare_pictures(loaded, [Picture(b"file:///etc/passwd", 9, 9, "fake.png")], Bounds(1024, 4096))


def test_bounds_of_the_request_come_before_the_owner_and_the_processor(loaded: LoadedModel) -> None:
    size = loaded.processor.image_processor.size
    own = Bounds(size["shortest_edge"], size["longest_edge"])
    owner = Bounds(2048, 50_000)
    assert choose_bounds(loaded, (None, None)) == own
    assert choose_bounds(loaded, (None, None), owner) == owner
    assert choose_bounds(loaded, (1024, 30_000), owner) == Bounds(1024, 30_000)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ((None, 60_000), "Expected max_pixels of at most 50,000, got 60,000: choose a smaller value."),
        ((55_000, None), "Expected min_pixels below max_pixels, got 55,000 and 50,000: set both, or leave"),
    ],
)
def test_bounds_that_cannot_be_are_refused(
    loaded: LoadedModel, wanted: tuple[int | None, int | None], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        choose_bounds(loaded, wanted, Bounds(2048, 50_000))
    assert str(caught.value).startswith(message)
