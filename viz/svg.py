"""One map over its picture as a drawing: the picture once, the map as one rectangle a cell, so it scales sharply.

Knows no session; colours and texts in, SVG out. Texts are escaped: they come from strangers.
"""

import html

from jaxtyping import UInt8
from numpy import ndarray

from viz.overlay import data_address

_SVG = """<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">
<title>{title}</title>
<image href="{picture}" width="{width}" height="{height}" preserveAspectRatio="none"/>
<g opacity="{opacity:g}">
{map}
</g>
</svg>
"""


def cells_svg(colours: UInt8[ndarray, "rows cols 4"], size_wh: tuple[int, int]) -> str:
    """One rectangle a cell, each axis stretched by itself to the picture's size."""
    rows, cols, _ = colours.shape
    tall, wide = size_wh[1] / rows, size_wh[0] / cols
    return "\n".join(
        f'<rect x="{col * wide:.6g}" y="{row * tall:.6g}" width="{wide:.6g}" height="{tall:.6g}" '
        f'fill="#{red:02x}{green:02x}{blue:02x}" fill-opacity="{alpha / 255:.4g}" shape-rendering="crispEdges"/>'
        for row, line in enumerate(colours.tolist())
        for col, (red, green, blue, alpha) in enumerate(line)
    )


def smooth_svg(map_png: bytes, size_wh: tuple[int, int]) -> str:
    """The map as a picture of one pixel a cell, which viewers enlarge smoothly."""
    return (
        f'<image href="{data_address(map_png)}" width="{size_wh[0]}" height="{size_wh[1]}" preserveAspectRatio="none"/>'
    )


def over_picture(picture_png: bytes, size_wh: tuple[int, int], map_svg: str, *, opacity: float, title: str) -> bytes:
    """The whole drawing, in pixels of the picture."""
    width, height = size_wh
    return _SVG.format(
        width=width,
        height=height,
        title=html.escape(title),
        picture=data_address(picture_png),
        opacity=opacity,
        map=map_svg,
    ).encode("utf-8")
