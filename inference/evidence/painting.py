"""A box of a picture painted over, so that a model is asked about the picture without what was there.

Numpy and Pillow alone: the painted picture is as large as it was, and is resized like any other afterwards.
"""

import math
from io import BytesIO

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter

from inference.evidence.trials import Fill
from inference.trace.metrics import Box, check_box
from inference.trace.request import Picture

Pixels = UInt8[np.ndarray, "height width channels"]

_BORDER_SHARE = 1 / 8
_LEAST_BORDER_PX = 2


class Canvas:
    """One picture, decoded once, from which boxes are painted over one at a time."""

    def __init__(self, picture: Picture) -> None:
        with Image.open(BytesIO(picture.png)) as image:
            self._image = image.convert("RGB")
        self._pixels = np.asarray(self._image)
        self._blurred: dict[float, Pixels] = {}

    def erased(self, box: Box, fill: Fill) -> Pixels:
        """The picture with every pixel painted over that the box touches.

        `surroundings`: in the mean colour of a border round it, an eighth of its shorter side wide; of a box that
        leaves no border, as `mean`, the mean colour of the whole picture. `blur`: in what a Gaussian blur with half
        the longer side as its standard deviation leaves of the picture.

        Raises:
            GeometryError: the box has no area inside the picture.
        """
        left, top, right, bottom = _touched(check_box(box, self._image.size))
        painted = self._pixels.copy()
        inside = (slice(top, bottom), slice(left, right))
        if fill == "blur":
            painted[inside] = self._blur(max(right - left, bottom - top) / 2)[inside]
        else:
            border = self._border(inside) if fill == "surroundings" else np.zeros((0, 3))
            around = border if len(border) else self._pixels.reshape(-1, 3)
            painted[inside] = np.rint(around.mean(0))
        return painted

    def _border(self, inside: tuple[slice, slice]) -> Float[np.ndarray, "pixels channels"]:
        """The pixels of the border; none where the box fills the picture."""
        down, across = inside
        wide = max(_LEAST_BORDER_PX, round(min(down.stop - down.start, across.stop - across.start) * _BORDER_SHARE))
        is_border = np.zeros(self._pixels.shape[:2], bool)
        is_border[max(0, down.start - wide) : down.stop + wide, max(0, across.start - wide) : across.stop + wide] = True
        is_border[inside] = False
        return self._pixels[is_border].astype(np.float64)

    def _blur(self, deviation_px: float) -> Pixels:
        """The whole picture blurred; boxes of one size share it."""
        if deviation_px not in self._blurred:
            self._blurred = {deviation_px: np.asarray(self._image.filter(ImageFilter.GaussianBlur(deviation_px)))}
        return self._blurred[deviation_px]


def _touched(box: Box) -> tuple[int, int, int, int]:
    """The box grown to whole pixels."""
    left, top, right, bottom = box
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)
