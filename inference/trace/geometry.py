"""Where things are: token of the sequence <-> cell of the merged grid <-> box in the picture as it arrived.

A cell is one vision token: merge x merge patches of the resized picture. Each side of a picture is rounded to whole
cells by itself, so a cell has its own scale for each axis in the original picture. Knows no attention, no model and
no page; sizes and token ids are given, never assumed.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from inference.errors import GeometryError
from inference.trace.session import ImageSpan

_REMEDY = "the picture and the prompt were not prepared together, so load the model again or report it"


def find_images(
    input_ids: Int[np.ndarray, "keys"],
    grid_thw: Int[np.ndarray, "images 3"],
    *,
    merge: int,
    patch_px: int,
    vision_start_id: int,
    vision_end_id: int,
    image_token_id: int,
    original_whs: Sequence[tuple[int, int]],
) -> tuple[ImageSpan, ...]:
    """One span for each picture of a prompt, in the order of the prompt; empty if it has none.

    A picture's tokens are those strictly between a vision start and the next vision end. `grid_thw` counts patches
    (before merging) in time, height and width, as the processor tells them; `original_whs` are sizes in pixels.

    Raises:
        GeometryError: markers, picture tokens, grids and pictures do not belong together; both counts are named.
    """
    starts = np.flatnonzero(input_ids == vision_start_id)
    ends = np.flatnonzero(input_ids == vision_end_id)
    _check_markers(starts, ends, len(grid_thw), len(original_whs))
    spans = tuple(
        _span(int(start) + 1, grid, merge=merge, patch_px=patch_px, original_wh=original_wh)
        for start, grid, original_wh in zip(starts, grid_thw, original_whs, strict=True)
    )
    is_image = input_ids == image_token_id
    for number, (span, end) in enumerate(zip(spans, ends, strict=True), start=1):
        _check_span(span, is_image, int(end), number)
    _check_total(spans, is_image)
    return spans


def cell_of_token(span: ImageSpan, key: int) -> tuple[int, int]:
    """(row, col) of the cell that a key stands for.

    Raises:
        GeometryError: the key is not one of the picture's.
    """
    if not span.start <= key < span.stop:
        raise GeometryError(f"a key from {span.start} to {span.stop - 1}", str(key), "choose a token of the picture")
    row, col = divmod(key - span.start, span.cols)
    return row, col


def token_of_cell(span: ImageSpan, row: int, col: int) -> int:
    """The key that stands for a cell.

    Raises:
        GeometryError: the picture has no such cell.
    """
    _check_cell(span, row, col)
    return span.start + row * span.cols + col


def box_of_cell(span: ImageSpan, row: int, col: int) -> tuple[float, float, float, float]:
    """The cell as (left, top, right, bottom) in pixels of the ORIGINAL picture; neighbours share their edge exactly.

    Raises:
        GeometryError: the picture has no such cell.
    """
    _check_cell(span, row, col)
    width, height = span.original_wh
    return (
        _edge(col, span.cols, width),
        _edge(row, span.rows, height),
        _edge(col + 1, span.cols, width),
        _edge(row + 1, span.rows, height),
    )


def cell_at(span: ImageSpan, x: float, y: float) -> tuple[int, int]:
    """(row, col) of the cell under a point in pixels of the ORIGINAL picture.

    A cell owns its left and top edge; the picture's right and bottom edge belong to the last cells.

    Raises:
        GeometryError: the point lies outside of the picture.
    """
    width, height = span.original_wh
    if not (0 <= x <= width and 0 <= y <= height):
        raise GeometryError(
            f"a point within {width} x {height} px", f"({x:g}, {y:g})", "choose a point inside of the picture"
        )
    return _interval(y, span.rows, height), _interval(x, span.cols, width)


def patches_of_cell(span: ImageSpan, row: int, col: int, *, merge: int) -> Int[np.ndarray, "patches"]:
    """The merge * merge rows of the vision tower's patch sequence that become this cell's token.

    Counted from the picture's own first patch. The sequence runs cell by cell, each cell's patches row by row within
    it, not along the rows of the whole picture.

    Raises:
        GeometryError: the picture has no such cell.
    """
    _check_cell(span, row, col)
    first = (row * span.cols + col) * merge**2
    return np.arange(first, first + merge**2)


def _edge(index: int, count: int, length: int) -> float:
    return index * length / count


def _interval(at: float, count: int, length: int) -> int:
    """Index of the interval that holds a coordinate; the edges are `_edge`'s own floats, so that both ways agree."""
    index = min(int(at * count / length), count - 1)
    if at < _edge(index, count, length):
        return index - 1
    if index + 1 < count and at >= _edge(index + 1, count, length):
        return index + 1
    return index


def _span(
    start: int, grid: Int[np.ndarray, "3"], *, merge: int, patch_px: int, original_wh: tuple[int, int]
) -> ImageSpan:
    frames, height, width = (int(count) for count in grid)
    if frames != 1 or height % merge or width % merge or min(height, width) < merge:
        raise GeometryError(
            f"a grid of 1 frame whose sides are multiples of {merge} patches",
            f"{frames} x {height} x {width}",
            _REMEDY,
        )
    return ImageSpan(start, height // merge, width // merge, (width * patch_px, height * patch_px), original_wh)


def _check_markers(starts: Int[np.ndarray, "starts"], ends: Int[np.ndarray, "ends"], grids: int, pictures: int) -> None:
    if not len(starts) == len(ends) == grids == pictures:
        raise GeometryError(
            f"{pictures} pictures with as many grids and pairs of vision markers",
            f"{grids} grids, {len(starts)} vision starts and {len(ends)} vision ends",
            _REMEDY,
        )
    if np.any(starts >= ends) or np.any(ends[:-1] >= starts[1:]):
        raise GeometryError("each vision start closed by its own vision end", "markers out of order", _REMEDY)


def _check_span(span: ImageSpan, is_image: Bool[np.ndarray, "keys"], end: int, number: int) -> None:
    expected = span.rows * span.cols
    between = end - span.start
    picture_tokens = int(is_image[span.start : end].sum())
    if not expected == between == picture_tokens:
        raise GeometryError(
            f"{expected} picture tokens for picture {number} ({span.rows} x {span.cols} cells)",
            f"{picture_tokens} of {between} tokens between its vision markers",
            _REMEDY,
        )


def _check_total(spans: tuple[ImageSpan, ...], is_image: Bool[np.ndarray, "keys"]) -> None:
    expected, arrived = sum(span.rows * span.cols for span in spans), int(is_image.sum())
    if expected != arrived:
        raise GeometryError(
            f"{expected} picture tokens in the prompt, all between vision markers", str(arrived), _REMEDY
        )


def _check_cell(span: ImageSpan, row: int, col: int) -> None:
    if not (0 <= row < span.rows and 0 <= col < span.cols):
        raise GeometryError(
            f"a cell of {span.rows} rows and {span.cols} columns",
            f"row {row}, column {col}",
            "count both from zero",
        )
