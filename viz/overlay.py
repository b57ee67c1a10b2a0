"""Colours, and a map as a small picture, a sprite, or laid over the picture it belongs to.

A map reaches the browser as one pixel a cell and is enlarged there; downloads and figures get the same colours in
full size from `composite`. Knows no session, no token and no page; numbers in, pixels out.
"""

import base64
import io
from collections.abc import Sequence
from functools import lru_cache

import matplotlib
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.colors import Normalize
from PIL import Image

from inference.errors import SettingsError

COLORMAPS = {
    "viridis": "viridis: even steps, safe for the colour-blind",
    "cividis": "cividis: even steps, the safest for the colour-blind",
    "magma": "magma: even steps, black to pale yellow",
    "inferno": "inferno: even steps, the strongest contrast",
    "plasma": "plasma: even steps, bright throughout",
}
"""The colour maps on offer, all perceptually uniform, each with a line for people."""

DIVERGING = "RdBu_r"
"""Of differences: blue below zero, red above, the same steps on both sides of a neutral middle."""

BASE_COLOUR = "#6f7480"
ADAPTER_COLOURS = ("#d55e00", "#0072b2", "#00a077", "#cc4fd8", "#a3804f")
"""Told apart by people with any of the common kinds of colour blindness, 3:1 on white and on a dark page."""

GREY = (160, 163, 168)
"""Of cells that say nothing; in no colour map."""

BAR_STEPS = 256

OPACITY = 0.85
"""How much of the map a picture shows unless a person says otherwise, 0 to 1."""

FAINTEST = 0.2
"""How opaque a map over a picture is where it is lowest; it grows to 1 at the top of the scale, quickly at first, so
that the picture keeps its colours where nobody looked and a faint look is seen all the same."""


def colour_scale(maps: Sequence[Float[np.ndarray, "..."]]) -> Normalize:
    """One scale for maps shown together: 0 to their common maximum; 0 to 1 where nothing is above zero.

    Cells that are NaN, those of maps that were not kept, have no say.
    """
    highest = [float(np.fmax.reduce(grid, axis=None)) for grid in maps if grid.size]
    return Normalize(0.0, max((high for high in highest if high > 0), default=1.0), clip=True)


def difference_scale(maps: Sequence[Float[np.ndarray, "..."]]) -> Normalize:
    """One scale for differences shown together, as far below zero as above it; -1 to 1 where there is none."""
    most = colour_scale([np.abs(grid) for grid in maps]).vmax or 1.0
    return Normalize(-most, most, clip=True)


def variant_colours(labels: Sequence[str], base_label: str = "base") -> dict[str, str]:
    """A colour for each label, in their order: the base is grey, past five adapters the colours begin again."""
    adapters = [label for label in labels if label != base_label]
    colours = {label: ADAPTER_COLOURS[index % len(ADAPTER_COLOURS)] for index, label in enumerate(adapters)}
    return {label: colours.get(label, BASE_COLOUR) for label in labels}


@lru_cache(maxsize=len(COLORMAPS) + 1)
def palette(colormap: str) -> UInt8[np.ndarray, "256 4"]:
    """The 256 RGBA colours of a colour map, from its low end to its high one.

    Raises:
        SettingsError: it is neither one of `COLORMAPS` nor `DIVERGING`.
    """
    if colormap not in (*COLORMAPS, DIVERGING):
        raise SettingsError(f"one of {', '.join(COLORMAPS)}", repr(colormap), "choose a colour map from the list")
    colours: UInt8[np.ndarray, "256 4"] = matplotlib.colormaps[colormap](np.arange(BAR_STEPS), bytes=True)
    colours.flags.writeable = False
    return colours


def coloured(
    grid: Float[np.ndarray, "*axes rows cols"], scale: Normalize, colormap: str
) -> UInt8[np.ndarray, "*axes rows cols 4"]:
    """RGBA of every cell: the colour map's colour at the cell's place on the scale."""
    colours: UInt8[np.ndarray, "*axes rows cols 4"] = palette(colormap)[_steps(grid, scale)]
    return colours


def veil(grid: Float[np.ndarray, "rows cols"], scale: Normalize, colormap: str) -> UInt8[np.ndarray, "rows cols 4"]:
    """RGBA of every cell as it lies over the picture: `coloured`, and the more opaque the higher on the scale.

    Alpha is 255 * (FAINTEST + (1 - FAINTEST) * sqrt(step / 255)) for steps 0 to 255 of the scale.
    """
    colours = coloured(grid, scale, colormap)
    height = np.sqrt(_steps(grid, scale) / (BAR_STEPS - 1))
    colours[..., 3] = np.rint(255 * (FAINTEST + (1 - FAINTEST) * height))
    return colours


def map_png(grid: Float[np.ndarray, "rows cols"], scale: Normalize, colormap: str) -> bytes:
    """The `veil` as a PNG of one pixel a cell."""
    return _encode(Image.fromarray(veil(grid, scale, colormap)))


def difference_veil(grid: Float[np.ndarray, "rows cols"], scale: Normalize) -> UInt8[np.ndarray, "rows cols 4"]:
    """RGBA of a difference as it lies over the picture: the further from zero, the more opaque.

    Alpha is 255 * sqrt(|value| / the scale's end), so where nothing changed the picture is seen as it is.
    """
    colours = coloured(grid, scale, DIVERGING)
    colours[..., 3] = np.rint(255 * np.sqrt(np.clip(np.abs(grid) / (scale.vmax or 1.0), 0, 1)))
    return colours


def difference_png(grid: Float[np.ndarray, "rows cols"], scale: Normalize) -> bytes:
    """The `difference_veil` as a PNG of one pixel a cell."""
    return _encode(Image.fromarray(difference_veil(grid, scale)))


def sprite_png(maps: Float[np.ndarray, "maps rows cols"], scale: Normalize, colormap: str) -> bytes:
    """A PNG of one pixel a cell with all maps stacked downwards.

    It lies over no picture, so it is opaque; it holds indices into the colour map's 256 colours, which is small. Maps
    that are NaN are transparent: they get the first of the colours, and what had that one has the second.
    """
    count, rows, cols = maps.shape
    blank = np.isnan(maps)
    holes = bool(blank.any())
    steps = np.where(blank, 0, np.maximum(_steps(np.nan_to_num(maps), scale), 1)) if holes else _steps(maps, scale)
    image = Image.fromarray(steps.reshape(count * rows, cols))
    image.putpalette(palette(colormap)[:, :3].tobytes())
    if holes:
        image.info["transparency"] = 0
    return _encode(image)


def greyed_png(
    grid: Float[np.ndarray, "rows cols"], scale: Normalize, colormap: str, grey: Bool[np.ndarray, "rows cols"]
) -> bytes:
    """An opaque PNG of one pixel a cell in which some cells are grey, whatever their value; NaN is transparent."""
    colours = coloured(np.nan_to_num(grid), scale, colormap)
    colours[grey] = (*GREY, 255)
    colours[np.isnan(grid)] = 0
    return _encode(Image.fromarray(colours))


@lru_cache(maxsize=len(COLORMAPS) + 1)
def bar_png(colormap: str) -> bytes:
    """A PNG of 256 x 1 px that runs through the colour map from left to right."""
    return _encode(Image.fromarray(palette(colormap)[None]))


def data_address(png: bytes) -> str:
    """The PNG as an address that a browser shows without asking anyone."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def composite(
    picture: Image.Image,
    grid: Float[np.ndarray, "rows cols"],
    scale: Normalize,
    colormap: str,
    *,
    opacity: float = OPACITY,
    smooth: bool = False,
) -> Image.Image:
    """The picture in its original size with the map over it: its veil `laid_over`."""
    return laid_over(picture, veil(grid, scale, colormap), opacity=opacity, smooth=smooth)


def laid_over(
    picture: Image.Image, colours: UInt8[np.ndarray, "rows cols 4"], *, opacity: float = OPACITY, smooth: bool = False
) -> Image.Image:
    """The picture with these cells over it, mixed as the browser mixes them.

    Each axis is stretched by itself. `opacity` 0 to 1 scales the cells' own; `smooth` goes linearly from cell centre
    to cell centre between the colours, as a browser enlarges, instead of showing cells.
    """
    how = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    over = Image.fromarray(colours).resize(picture.size, how)
    alpha = over.getchannel("A").point([round(opacity * step) for step in range(256)])
    return Image.composite(over.convert("RGB"), picture.convert("RGB"), alpha)


def _steps(grid: Float[np.ndarray, "*axes rows cols"], scale: Normalize) -> UInt8[np.ndarray, "*axes rows cols"]:
    """Places on the scale as 0 to 255, by the colour maps' own rule: 256 steps of equal width, the top in the last.

    Reckoned here from the two ends, since `scale` itself minds masked cells and takes ten times as long, which a click
    would feel.
    """
    low, high = scale.vmin or 0.0, scale.vmax or 0.0
    places = np.clip((grid - low) / (high - low) * BAR_STEPS, 0, BAR_STEPS - 1)
    return np.asarray(places.astype(np.uint8))


def _encode(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
