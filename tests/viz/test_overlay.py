"""Colours: matplotlib's own, shared scales, and the same in the browser's way as in the full composite."""

import io
import itertools

import matplotlib
import numpy as np
import pytest
from PIL import Image

from inference.errors import SettingsError
from viz import overlay

ROWS, COLS = 3, 5
RNG = np.random.default_rng(0)
GRID = RNG.random((ROWS, COLS)).astype(np.float32)


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def test_a_scale_runs_from_zero_to_the_common_maximum() -> None:
    scale = overlay.colour_scale([np.array([[0.1, 0.2]]), np.array([[0.05, 0.7]]), np.zeros((0, 0))])
    assert (scale.vmin, scale.vmax) == (0, 0.7)


@pytest.mark.parametrize("maps", [[], [np.zeros((2, 3))], [np.zeros((0, 0))]])
def test_a_scale_of_nothing_still_has_a_length(maps: list[np.ndarray]) -> None:
    assert overlay.colour_scale(maps).vmax == 1


@pytest.mark.parametrize("colormap", overlay.COLORMAPS)
def test_map_png_holds_matplotlibs_own_colours_one_pixel_a_cell(colormap: str) -> None:
    scale = overlay.colour_scale([GRID])
    image = opened(overlay.map_png(GRID, scale, colormap))
    assert (image.mode, image.size) == ("RGBA", (COLS, ROWS))
    assert np.array_equal(np.asarray(image)[..., :3], matplotlib.colormaps[colormap](scale(GRID), bytes=True)[..., :3])


def test_the_veil_is_faintest_where_nobody_looked_and_solid_at_the_top() -> None:
    grid = np.array([[0.0, 0.25, 1.0]], np.float32)
    alpha = overlay.veil(grid, overlay.colour_scale([grid]), "viridis")[0, :, 3]
    assert alpha.tolist() == [51, 153, 255]


def test_every_step_of_the_scale_gets_matplotlibs_colour() -> None:
    grid = np.concatenate([np.linspace(0, 1, 1025), np.arange(257) / 256]).astype(np.float32)[None]
    scale = overlay.colour_scale([grid])
    expected = matplotlib.colormaps["magma"](scale(grid), bytes=True)
    assert np.array_equal(overlay.coloured(grid, scale, "magma"), expected)


def test_a_sprite_is_its_maps_stacked_downwards_in_the_same_colours() -> None:
    maps = RNG.random((7, ROWS, COLS)).astype(np.float32)
    scale = overlay.colour_scale([maps])
    sprite = np.asarray(opened(overlay.sprite_png(maps, scale, "inferno")).convert("RGBA"))
    singles = [overlay.coloured(grid, scale, "inferno") for grid in maps]
    assert np.array_equal(sprite, np.concatenate(singles))


def test_maps_that_are_not_there_have_no_say_in_a_scale() -> None:
    gone = np.full((2, 3), np.nan)
    assert overlay.colour_scale([gone, np.array([[0.1, np.nan, 0.4]]), GRID * 0]).vmax == 0.4
    assert overlay.colour_scale([gone]).vmax == 1


def test_maps_that_are_not_there_are_transparent_in_a_sprite_and_the_others_are_as_ever() -> None:
    maps = np.random.default_rng(1).random((5, 3, 7))
    scale = overlay.colour_scale([maps])
    whole = np.asarray(opened(overlay.sprite_png(maps, scale, "magma")).convert("RGBA")).reshape(5, 3, 7, 4)
    maps[[1, 4]] = np.nan
    sprite = np.asarray(opened(overlay.sprite_png(maps, scale, "magma")).convert("RGBA")).reshape(5, 3, 7, 4)
    assert not sprite[[1, 4], ..., 3].any()
    assert (sprite[[0, 2, 3], ..., 3] == 255).all()
    assert np.abs(sprite[[0, 2, 3]].astype(int) - whole[[0, 2, 3]]).max() <= 3
    alone = opened(overlay.sprite_png(maps[1:2], scale, "magma")).convert("RGBA")
    assert not np.asarray(alone)[..., 3].any()


def test_the_bar_runs_through_the_colour_map_once() -> None:
    bar = np.asarray(opened(overlay.bar_png("plasma")))
    assert bar.shape == (1, 256, 4)
    assert np.array_equal(bar[0], overlay.palette("plasma"))


def test_nearest_composite_shows_what_the_browser_shows_in_every_pixel() -> None:
    picture = Image.fromarray(RNG.integers(0, 256, (ROWS * 13, COLS * 17, 3), np.uint8))
    scale = overlay.colour_scale([GRID])
    tiny = np.asarray(opened(overlay.map_png(GRID, scale, "viridis"))).astype(float)
    shown = np.asarray(overlay.composite(picture, GRID, scale, "viridis", opacity=0.6)).astype(float)
    enlarged = tiny.repeat(13, axis=0).repeat(17, axis=1)
    part = 0.6 * enlarged[..., 3:] / 255
    expected = (1 - part) * np.asarray(picture).astype(float) + part * enlarged[..., :3]
    assert np.abs(shown - expected).max() < 1.6  # colour and alpha in whole steps of 8 bits


def test_each_axis_is_stretched_by_itself_for_sizes_that_are_no_multiples() -> None:
    width, height = 101, 47
    picture = Image.new("RGB", (width, height))
    scale = overlay.colour_scale([GRID])
    veil = overlay.veil(GRID, scale, "viridis").astype(float)
    tiny = veil[..., :3] * veil[..., 3:] / 255  # over black
    shown = np.asarray(overlay.composite(picture, GRID, scale, "viridis", opacity=1.0))
    for y, x in itertools.product(range(height), range(width)):
        cell = tiny[int((y + 0.5) * ROWS / height), int((x + 0.5) * COLS / width)]
        assert np.abs(shown[y, x] - cell).max() <= 1


def test_smooth_composite_goes_linearly_between_cell_centres_and_stays_flat_at_the_rim() -> None:
    grid = np.array([[0.0, 1.0]], np.float32)
    scale = overlay.colour_scale([grid])
    veil = overlay.veil(grid, scale, "cividis")[0].astype(float)
    low, high = veil[:, :3] * veil[:, 3:] / 255  # over black
    picture = Image.new("RGB", (40, 4))
    row = np.asarray(overlay.composite(picture, grid, scale, "cividis", opacity=1.0, smooth=True)).astype(float)[0]
    for x in range(40):
        part = min(max((x + 0.5) / 20 - 0.5, 0), 1)
        assert np.abs(row[x] - (low + part * (high - low))).max() <= 1.5


def test_opacity_zero_is_the_picture_and_the_size_is_the_pictures() -> None:
    picture = Image.fromarray(RNG.integers(0, 256, (31, 23, 3), np.uint8))
    shown = overlay.composite(picture, GRID, overlay.colour_scale([GRID]), "viridis", opacity=0.0)
    assert shown.size == (23, 31)
    assert np.array_equal(np.asarray(shown), np.asarray(picture))


def test_a_colour_map_that_is_not_offered_is_refused_with_the_list() -> None:
    with pytest.raises(SettingsError, match=r"one of viridis, .*got 'jet'"):
        overlay.palette("jet")


def test_data_address_holds_the_png() -> None:
    assert overlay.data_address(b"\x89PNG") == "data:image/png;base64,iVBORw=="


def test_variants_have_one_colour_each_and_the_base_is_grey_wherever_it_stands() -> None:
    colours = overlay.variant_colours(["a", "base", "b@0.5", "c", "d", "e"])
    assert colours["base"] == overlay.BASE_COLOUR
    assert len(set(colours.values())) == 6
    assert colours == {**overlay.variant_colours(["base", "a", "b@0.5", "c", "d", "e"])}


def linear(colour: str) -> np.ndarray:
    share = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lightness_and_hue(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear RGB, D65."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.clip(matrix @ np.clip(rgb, 0, 1) / np.array([0.9505, 1, 1.089]), 0.008856, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


SEEN_BY = {
    # Source: Machado, Oliveira, Fernandes 2009, severity 1.0.
    "everyone": np.eye(3),
    "protanopia": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "deuteranopia": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "tritanopia": np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
}


@pytest.mark.parametrize("eyes", SEEN_BY)
def test_variant_colours_stay_apart_for_colour_blind_eyes(eyes: str) -> None:
    seen = [lightness_and_hue(SEEN_BY[eyes] @ linear(c)) for c in (overlay.BASE_COLOUR, *overlay.ADAPTER_COLOURS)]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)) > 12


@pytest.mark.parametrize("page", ["#ffffff", "#0b0f19"])
def test_variant_colours_stand_out_from_a_light_and_a_dark_page(page: str) -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    for colour in (overlay.BASE_COLOUR, *overlay.ADAPTER_COLOURS):
        darker, lighter = sorted((float(weights @ linear(colour)), float(weights @ linear(page))))
        assert (lighter + 0.05) / (darker + 0.05) >= 3


def test_a_scale_of_differences_is_as_long_on_both_sides() -> None:
    scale = overlay.difference_scale([np.array([[0.1, -0.7]]), np.array([[np.nan, 0.2]]), np.zeros((0, 0))])
    assert (scale.vmin, scale.vmax) == (-0.7, 0.7)
    for nothing in ([], [np.zeros((2, 3))], [np.full((1, 1), np.nan)]):
        assert overlay.difference_scale(nothing).vmax == 1


def test_a_difference_hides_nothing_where_nothing_changed() -> None:
    grid = np.array([[0.0, 0.25, 1.0, -1.0]], np.float32)
    drawn = np.asarray(opened(overlay.difference_png(grid, overlay.difference_scale([grid]))))[0]
    assert drawn[:, 3].tolist() == [0, 128, 255, 255]
    red, blue = drawn[2].astype(int), drawn[3].astype(int)
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 50


def test_the_colours_of_differences_are_no_choice_for_shares() -> None:
    assert overlay.DIVERGING not in overlay.COLORMAPS
