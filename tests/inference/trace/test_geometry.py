"""Token, cell and pixel: there and back, against hand-made values and the real picture processor."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Int

from inference.errors import GeometryError
from inference.trace.geometry import box_of_cell, cell_at, cell_of_token, find_images, patches_of_cell, token_of_cell
from inference.trace.session import ImageSpan

START, END, PAD, TEXT = 101, 102, 103, 7
Grids = list[tuple[int, int, int]]

spans = st.builds(
    lambda start, rows, cols, width, height: ImageSpan(start, rows, cols, (cols * 32, rows * 32), (width, height)),
    st.integers(0, 500),
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 5000),
    st.integers(1, 5000),
)


def prompt(grids: Grids, merge: int, *, lead: int = 3) -> Int[np.ndarray, "keys"]:
    """Ids of a prompt as the processor makes it: text, then each picture between its markers, each followed by text."""
    ids = [TEXT] * lead
    for _, height, width in grids:
        ids += [START, *[PAD] * (height * width // merge**2), END, TEXT]
    return np.array(ids)


def find(ids: Int[np.ndarray, "keys"], grids: Grids, *, pictures: int | None = None) -> tuple[ImageSpan, ...]:
    return find_images(
        ids,
        np.array(grids).reshape(-1, 3),
        merge=2,
        patch_px=16,
        vision_start_id=START,
        vision_end_id=END,
        image_token_id=PAD,
        original_whs=[(640, 480)] * (len(grids) if pictures is None else pictures),
    )


@given(
    cells=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=3),
    merge=st.integers(1, 3),
    patch_px=st.sampled_from((14, 16)),
    lead=st.integers(0, 5),
)
def test_pictures_are_found_where_they_were_put(
    cells: list[tuple[int, int]], merge: int, patch_px: int, lead: int
) -> None:
    grids = [(1, rows * merge, cols * merge) for rows, cols in cells]
    whs = [(17 + i, 1900 - i) for i in range(len(cells))]
    ids = prompt(grids, merge, lead=lead)
    found = find_images(
        ids,
        np.array(grids).reshape(-1, 3),
        merge=merge,
        patch_px=patch_px,
        vision_start_id=START,
        vision_end_id=END,
        image_token_id=PAD,
        original_whs=whs,
    )
    start = lead + 1
    for span, (rows, cols), wh in zip(found, cells, whs, strict=True):
        side = merge * patch_px
        assert span == ImageSpan(start, rows, cols, (cols * side, rows * side), wh)
        assert ids[span.start - 1] == START and ids[span.stop] == END
        assert np.all(ids[span.start : span.stop] == PAD)
        start = span.stop + 3


def test_a_prompt_without_a_picture_has_no_spans() -> None:
    assert find(np.array([TEXT, TEXT]), []) == ()


@pytest.mark.parametrize(
    ("ids", "grids", "pictures", "message"),
    [
        pytest.param(
            [START, *[PAD] * 5, END],
            [(1, 4, 6)],
            1,
            "6 picture tokens for picture 1 (2 x 3 cells), got 5 of 5",
            id="few",
        ),
        pytest.param([START, *[PAD] * 7, END], [(1, 4, 6)], 1, "got 7 of 7 tokens between", id="many"),
        pytest.param([START, *[PAD] * 5, TEXT, END], [(1, 4, 6)], 1, "got 5 of 6 tokens between", id="text between"),
        pytest.param([START, *[PAD] * 6, END, PAD], [(1, 4, 6)], 1, "6 picture tokens in the prompt", id="stray"),
        pytest.param([TEXT], [(1, 4, 6)], 1, "1 grids, 0 vision starts and 0 vision ends", id="no markers"),
        pytest.param([START, *[PAD] * 6, END], [], 0, "0 pictures with as many grids", id="no grid"),
        pytest.param([START, *[PAD] * 6, END], [(1, 4, 6)], 2, "2 pictures with as many grids", id="no size"),
        pytest.param([START, *[PAD] * 6], [(1, 4, 6)], 1, "1 vision starts and 0 vision ends", id="never closed"),
        pytest.param([END, *[PAD] * 6, START], [(1, 4, 6)], 1, "markers out of order", id="backwards"),
        pytest.param(
            [START, START, *[PAD] * 6, END, END], [(1, 4, 6)] * 2, 2, "markers out of order", id="one in the other"
        ),
        pytest.param([START, *[PAD] * 5, END], [(1, 5, 4)], 1, "got 1 x 5 x 4", id="odd grid"),
        pytest.param([START, *[PAD] * 6, END], [(2, 4, 6)], 1, "got 2 x 4 x 6", id="video"),
        pytest.param([START, END], [(1, 0, 0)], 1, "got 1 x 0 x 0", id="empty grid"),
    ],
)
def test_what_does_not_belong_together_is_refused_with_both_counts(
    ids: list[int], grids: Grids, pictures: int, message: str
) -> None:
    with pytest.raises(GeometryError, match=re.escape(message)):
        find(np.array(ids), grids, pictures=pictures)


@given(span=spans, data=st.data())
def test_token_cell_and_box_lead_back_to_themselves(span: ImageSpan, data: st.DataObject) -> None:
    key = data.draw(st.integers(span.start, span.stop - 1))
    row, col = cell_of_token(span, key)
    assert token_of_cell(span, row, col) == key
    left, top, right, bottom = box_of_cell(span, row, col)
    assert cell_at(span, left, top) == (row, col)
    assert cell_at(span, (left + right) / 2, (top + bottom) / 2) == (row, col)
    assert cell_at(span, np.nextafter(right, 0), np.nextafter(bottom, 0)) == (row, col)


@given(span=spans)
def test_boxes_tile_the_original_picture_without_gap_or_overlap(span: ImageSpan) -> None:
    rows = [box_of_cell(span, row, 0) for row in range(span.rows)]
    cols = [box_of_cell(span, 0, col) for col in range(span.cols)]
    assert (cols[0][0], rows[0][1]) == (0, 0)
    assert (cols[-1][2], rows[-1][3]) == span.original_wh
    assert all(one[2] == following[0] for one, following in pairwise(cols))
    assert all(one[3] == following[1] for one, following in pairwise(rows))


def test_each_axis_has_its_own_scale() -> None:
    span = ImageSpan(4, 2, 5, (160, 64), (1000, 60))
    assert box_of_cell(span, 1, 3) == (600.0, 30.0, 800.0, 60.0)
    assert cell_at(span, 799.9, 30) == (1, 3)
    assert cell_at(span, 1000, 60) == (1, 4)


def test_a_picture_of_one_pixel_and_one_cell() -> None:
    span = ImageSpan(0, 1, 1, (32, 32), (1, 1))
    assert box_of_cell(span, 0, 0) == (0.0, 0.0, 1.0, 1.0)
    assert cell_at(span, 0.5, 1) == (0, 0)


def test_patches_come_in_blocks_of_merge_by_merge() -> None:
    span = ImageSpan(9, 2, 3, (96, 64), (96, 64))
    assert patches_of_cell(span, 0, 1, merge=2).tolist() == [4, 5, 6, 7]
    assert patches_of_cell(span, 1, 0, merge=2).tolist() == [12, 13, 14, 15]
    assert patches_of_cell(span, 1, 2, merge=1).tolist() == [5]


SPAN = ImageSpan(10, 2, 3, (96, 64), (200, 100))


@pytest.mark.parametrize("key", [9, 16, -1])
def test_a_key_outside_of_the_picture_is_refused(key: int) -> None:
    with pytest.raises(GeometryError, match=f"from 10 to 15, got {key}"):
        cell_of_token(SPAN, key)


@pytest.mark.parametrize("cell", [(2, 0), (0, 3), (-1, 0), (0, -99999)])
def test_a_cell_outside_of_the_picture_is_refused(cell: tuple[int, int]) -> None:
    for ask in (token_of_cell, box_of_cell):
        with pytest.raises(GeometryError, match="2 rows and 3 columns"):
            ask(SPAN, *cell)
    with pytest.raises(GeometryError, match="2 rows and 3 columns"):
        patches_of_cell(SPAN, *cell, merge=2)


@pytest.mark.parametrize("point", [(-0.1, 0), (200.1, 0), (0, 101), (float("nan"), 0), (0, float("inf"))])
def test_a_point_outside_of_the_picture_is_refused(point: tuple[float, float]) -> None:
    with pytest.raises(GeometryError, match="within 200 x 100 px"):
        cell_at(SPAN, *point)


@settings(max_examples=12)
@given(rows=st.integers(1, 7), cols=st.integers(1, 7), data=st.data())
def test_a_painted_cell_changes_the_patches_of_its_own_token_alone(rows: int, cols: int, data: st.DataObject) -> None:
    from transformers import Qwen2VLImageProcessor

    processor = Qwen2VLImageProcessor(patch_size=16, merge_size=2, min_pixels=1024, max_pixels=10**6)
    plain = np.full((rows * 32, cols * 32, 3), 90, np.uint8)
    row, col = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    painted = plain.copy()
    painted[row * 32 : row * 32 + 32, col * 32 : col * 32 + 32] = (250, 10, 130)

    before, after = (processor(images=[pixels], return_tensors="np") for pixels in (plain, painted))

    grids = [tuple(int(count) for count in grid) for grid in before["image_grid_thw"]]
    ids = prompt([(1, rows * 2, cols * 2)], 2)
    (span,) = find_images(
        ids,
        np.array(grids),
        merge=2,
        patch_px=16,
        vision_start_id=START,
        vision_end_id=END,
        image_token_id=PAD,
        original_whs=[(cols * 32, rows * 32)],
    )
    changed = np.flatnonzero(np.any(before["pixel_values"] != after["pixel_values"], axis=1))
    assert changed.tolist() == patches_of_cell(span, row, col, merge=2).tolist()
