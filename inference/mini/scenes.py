"""Scenes of coloured shapes: what lies where, and the picture of it. Knows no model and no torch.

A scene is 192 px wide and high. Colours and shapes are unique in it; the background is plain, so that painting a
box over with it removes what was there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from inference.mini.facts import COLORS, PLACES, SHAPES

SIDE_PX = 192
CELL_PX = 32
CELLS = SIDE_PX // CELL_PX
MARK_PX = 20
RADIUS_PX = (24, 31)
_GAP_PX = 3
_CORNER_PX = 30
_SUPERSAMPLE = 4

RGB = {
    "red": (214, 39, 40),
    "blue": (38, 84, 214),
    "green": (30, 140, 50),
    "yellow": (244, 214, 32),
    "purple": (128, 44, 160),
    "orange": (246, 132, 22),
    "pink": (246, 140, 190),
    "cyan": (50, 200, 220),
}

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Thing:
    """One object or mark. `center_xy` and `radius` are in pixels; `turn` is in radians."""

    color: str
    shape: str
    center_xy: tuple[float, float]
    radius: float
    turn: float = 0.0

    @property
    def box_xyxy(self) -> Box:
        """The pixel box that holds all of it: left, top, right, bottom, the last two not included."""
        (x, y), r = self.center_xy, self.radius + 1
        left, top = max(0, math.floor(x - r)), max(0, math.floor(y - r))
        return left, top, min(SIDE_PX, math.ceil(x + r)), min(SIDE_PX, math.ceil(y + r))

    @property
    def place(self) -> str:
        """The one of the nine place words that its centre lies in, by thirds of the picture."""
        column, row = (min(2, int(3 * value / SIDE_PX)) for value in self.center_xy)
        return PLACES[3 * row + column]


@dataclass(frozen=True)
class Scene:
    """Objects on a plain background, perhaps with one small square mark in a corner."""

    background: tuple[int, int, int]
    objects: tuple[Thing, ...]
    mark: Thing | None = None

    @property
    def things(self) -> tuple[Thing, ...]:
        """The objects, then the mark if there is one."""
        return (*self.objects, self.mark) if self.mark else self.objects

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """The picture as (height, width, RGB)."""
        canvas = np.empty((SIDE_PX, SIDE_PX, 3), np.float32)
        canvas[:] = self.background
        for thing in self.things:
            cover, (left, top, right, bottom) = _cover(thing)
            spot = canvas[top:bottom, left:right]
            spot += cover[..., None] * (np.asarray(RGB[thing.color], np.float32) - spot)
        return np.rint(canvas).astype(np.uint8)

    @property
    def image(self) -> Image.Image:
        """The picture for people and for the processor."""
        return Image.fromarray(self.pixels)

    def mask(self, thing: Thing) -> Mask:
        """(height, width): True where at least half of the pixel is the thing's."""
        mask = np.zeros((SIDE_PX, SIDE_PX), np.bool_)
        cover, (left, top, right, bottom) = _cover(thing)
        mask[top:bottom, left:right] = cover >= 0.5
        return mask

    def cell_px(self, thing: Thing) -> NDArray[np.int64]:
        """(rows, cols) of the token grid: how many pixels of each cell are the thing's."""
        blocks = self.mask(thing).reshape(CELLS, CELL_PX, CELLS, CELL_PX)
        counts: NDArray[np.int64] = blocks.sum(axis=(1, 3))
        return counts

    def painted_over(self, box_xyxy: Box) -> Image.Image:
        """The picture with a box filled with background."""
        pixels = self.pixels.copy()
        left, top, right, bottom = box_xyxy
        pixels[top:bottom, left:right] = self.background
        return Image.fromarray(pixels)

    def by_color(self, color: str) -> Thing:
        """The object of that colour. Raises StopIteration where there is none."""
        return next(thing for thing in self.objects if thing.color == color)

    def without_pixels(self) -> "Scene":
        """The same scene with nothing drawn yet."""
        return replace(self)

    def without_mark(self) -> "Scene":
        """The same scene, its corners empty."""
        return replace(self, mark=None)


def sample_scene(
    rng: np.random.Generator,
    *,
    counts: Sequence[int] = (2, 3, 4),
    marked: bool = False,
    must_hold: Sequence[str] = (),
) -> Scene:
    """A scene drawn at random: how many objects, whether a mark, and colours that must be among the objects'.

    The mark's colour is none of the objects', so it contradicts each of them.
    """
    count = int(rng.choice(counts))
    rest = [color for color in COLORS if color not in must_hold]
    colors = [*must_hold, *rng.permutation(rest)]
    colors, spare = colors[:count], colors[count:]
    shapes = rng.permutation(SHAPES)[:count]
    spots = _spots(rng, count)
    turns = rng.uniform(-0.35, 0.35, count)
    objects = [
        Thing(str(color), str(shape), (x, y), r, float(turn))
        for color, shape, (x, y, r), turn in zip(colors, shapes, spots, turns, strict=True)
    ]
    order = rng.permutation(count)
    mark = _sample_mark(rng, str(spare[0])) if marked else None
    return Scene(_sample_background(rng), tuple(objects[index] for index in order), mark)


def _sample_background(rng: np.random.Generator) -> tuple[int, int, int]:
    level = int(rng.integers(225, 251)) if rng.random() < 0.7 else int(rng.integers(15, 60))
    red, green, blue = (int(np.clip(level + shift, 0, 255)) for shift in rng.integers(-4, 5, 3))
    return red, green, blue


def _sample_mark(rng: np.random.Generator, color: str) -> Thing:
    """A small square in one of the four corners."""
    near, far = CELL_PX / 2, SIDE_PX - CELL_PX / 2
    x, y = (float(rng.choice((near, far)) + rng.integers(-3, 4)) for _ in range(2))
    return Thing(color, "mark", (x, y), MARK_PX / 2)


def _spots(rng: np.random.Generator, count: int) -> list[tuple[float, float, float]]:
    """Centres and radii of circles that neither touch each other nor the corners nor the rim."""
    while True:
        spots: list[tuple[float, float, float]] = []
        for _ in range(40):
            r = float(rng.uniform(*RADIUS_PX))
            x, y = (float(value) for value in rng.uniform(r + 2, SIDE_PX - r - 2, 2))
            if _is_free(x, y, r, spots):
                spots.append((x, y, r))
            if len(spots) == count:
                return spots


def _is_free(x: float, y: float, r: float, spots: Sequence[tuple[float, float, float]]) -> bool:
    inset = (min(x, SIDE_PX - x), min(y, SIDE_PX - y))
    nearest = [max(0.0, side - _CORNER_PX) for side in inset]
    if math.hypot(*nearest) < r + _GAP_PX:
        return False
    return all(math.hypot(x - u, y - v) > r + s + _GAP_PX for u, v, s in spots)


def _cover(thing: Thing) -> tuple[NDArray[np.float32], Box]:
    """How much of each pixel in the thing's box it covers, 0 to 1, and that box."""
    left, top, right, bottom = box = thing.box_xyxy
    size = ((right - left) * _SUPERSAMPLE, (bottom - top) * _SUPERSAMPLE)
    stencil = Image.new("L", size)
    x, y = thing.center_xy
    points = [
        ((x + thing.radius * u - left) * _SUPERSAMPLE, (y + thing.radius * v - top) * _SUPERSAMPLE)
        for u, v in _outline(thing.shape, round(thing.turn, 6))
    ]
    ImageDraw.Draw(stencil).polygon(points, fill=255)
    return np.asarray(stencil.reduce(_SUPERSAMPLE), np.float32) / np.float32(255), box


@lru_cache(maxsize=4096)
def _outline(shape: str, turn: float) -> tuple[tuple[float, float], ...]:
    """The shape's corners in a circle of radius 1, turned by `turn` radians; a mark is never turned."""
    corners = {
        "circle": _ring([0.92] * 60, 0),
        "square": _ring([1.0] * 4, math.pi / 4),
        "triangle": _ring([1.0] * 3, -math.pi / 2),
        "star": _ring([1.0, 0.42] * 5, -math.pi / 2),
        "cross": _cross(0.32, 0.94),
        "diamond": ((0.0, -1.0), (0.62, 0.0), (0.0, 1.0), (-0.62, 0.0)),
        "mark": ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)),
    }[shape]
    cos, sin = math.cos(turn), math.sin(turn)
    return tuple((u * cos - v * sin, u * sin + v * cos) for u, v in corners)


def _ring(radii: Sequence[float], start: float) -> tuple[tuple[float, float], ...]:
    step = 2 * math.pi / len(radii)
    return tuple((r * math.cos(start + i * step), r * math.sin(start + i * step)) for i, r in enumerate(radii))


def _cross(arm: float, reach: float) -> tuple[tuple[float, float], ...]:
    quarter = ((arm, -reach), (arm, -arm), (reach, -arm))
    turned = [[(u, v), (-v, u), (-u, -v), (v, -u)][turn] for turn in range(4) for u, v in quarter]
    return tuple(turned)
