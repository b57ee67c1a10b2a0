"""Boxes of whole cells on a picture's grid: those that a box touches, windows that slide, boxes drawn at random.

Rows and columns count from zero; cells are numbered row by row, as `trials.Block` has them. Knows no model.
"""

from dataclasses import dataclass

import numpy as np

from inference.errors import GeometryError
from inference.trace.geometry import box_of_cell
from inference.trace.metrics import Box, box_cover
from inference.trace.session import ImageSpan, Run

_TOUCHED = 1e-6


@dataclass(frozen=True)
class Window:
    """So many rows and columns of cells from the corner (`top`, `left`) on."""

    top: int
    left: int
    rows: int
    cols: int

    def cells(self, span: ImageSpan) -> tuple[int, ...]:
        """The numbers of its cells, in order."""
        down, across = range(self.top, self.top + self.rows), range(self.left, self.left + self.cols)
        return tuple(row * span.cols + col for row in down for col in across)

    def box(self, span: ImageSpan) -> Box:
        """The same in pixels of the picture as it arrived."""
        left, top, _, _ = box_of_cell(span, self.top, self.left)
        _, _, right, bottom = box_of_cell(span, self.top + self.rows - 1, self.left + self.cols - 1)
        return left, top, right, bottom

    def shared(self, other: "Window") -> int:
        """How many cells lie in both."""
        down = min(self.top + self.rows, other.top + other.rows) - max(self.top, other.top)
        across = min(self.left + self.cols, other.left + other.cols) - max(self.left, other.left)
        return max(0, down) * max(0, across)


def span_of(run: Run, image: int) -> ImageSpan:
    """The picture's place in the run.

    Raises:
        GeometryError: the question came without it.
    """
    spans = run.trace.images
    if not 0 <= image < len(spans):
        arrived = f"picture {image} of {len(spans)}"
        raise GeometryError("a picture that came with the question", arrived, "choose one of its pictures")
    return spans[image]


def touched(span: ImageSpan, box: Box) -> Window:
    """The window of all cells that a box, in pixels of the picture as it arrived, touches.

    Raises:
        GeometryError: nothing of the box lies inside the picture.
    """
    cover = box_cover(span, box) > _TOUCHED
    down, across = np.flatnonzero(cover.any(1)), np.flatnonzero(cover.any(0))
    if not len(down):
        raise GeometryError("a box of some pixels", str(box), "draw a larger one")
    return Window(int(down[0]), int(across[0]), len(down), len(across))


def slide(span: ImageSpan, rows: int, cols: int, stride: int) -> tuple[Window, ...]:
    """Windows of one size a stride apart, row by row; the last of each row and column ends at the picture's edge."""
    places = [(top, left) for top in _starts(span.rows, rows, stride) for left in _starts(span.cols, cols, stride)]
    return tuple(Window(top, left, rows, cols) for top, left in places)


def slide_over(span: ImageSpan, size: int, stride: int) -> tuple[Window, ...]:
    """Windows of size x size cells a stride apart that hang over the edges and are cut there, each once.

    They hang over by less than half, so that with stride 1 every cell is the middle of one of an odd size.
    """
    down, across = (_cut_starts(length, size, stride) for length in (span.rows, span.cols))
    return tuple(Window(top, left, bottom - top, right - left) for top, bottom in down for left, right in across)


def draw_windows(span: ImageSpan, window: Window, count: int, seed: int) -> tuple[Window, ...]:
    """At most `count` other windows of the same size, drawn evenly: first of those that share none of its cells.

    Then, where these are too few, those that share the fewest; none that shares half of its cells or more, for such a
    window holds much of what the first one does. Fewer than `count` where the picture has no room for more.
    """
    most = window.rows * window.cols / 2
    others = [other for other in slide(span, window.rows, window.cols, 1) if window.shared(other) < most]
    order = np.random.default_rng(seed).permutation(len(others))
    drawn = sorted((others[int(place)] for place in order), key=window.shared)
    return tuple(drawn[:count])


def _starts(length: int, size: int, stride: int) -> list[int]:
    last = length - size
    return sorted({*range(0, last + 1, stride), last})


def _cut_starts(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """Starts and stops along one side."""
    over = (size - 1) // 2
    last = max(length - size + over, -over)
    starts = sorted({*range(-over, last + 1, stride), last})
    return sorted({(max(0, start), min(length, start + size)) for start in starts})
