"""Scenes: what lies where, and that picture, masks and cells agree about it."""

import itertools
import math

import numpy as np
import pytest

from inference.mini.facts import PARTNERS, PLACES
from inference.mini.scenes import CELL_PX, RGB, SIDE_PX, Scene, Thing, sample_scene


def drawn(count: int, *, marked: bool = False) -> list[Scene]:
    rng = np.random.default_rng(5)
    return [sample_scene(rng, marked=marked) for _ in range(count)]


def test_the_same_seed_draws_the_same_picture() -> None:
    one, two = (sample_scene(np.random.default_rng(3), marked=True) for _ in range(2))
    assert (one.pixels == two.pixels).all()


def test_colors_and_shapes_are_unique_and_the_mark_contradicts_every_object() -> None:
    for scene in drawn(60, marked=True):
        assert len({thing.color for thing in scene.things}) == len(scene.things)
        assert len({thing.shape for thing in scene.things}) == len(scene.things)


def test_no_two_things_share_a_pixel_and_none_is_cut_by_the_rim() -> None:
    for scene in drawn(60, marked=True):
        assert np.sum([scene.mask(thing) for thing in scene.things], axis=0).max() == 1
        for (x, y), radius in ((thing.center_xy, thing.radius) for thing in scene.things):
            assert radius < x < SIDE_PX - radius
            assert radius < y < SIDE_PX - radius


def test_a_mask_is_where_the_picture_has_the_color() -> None:
    for scene in drawn(20, marked=True):
        for thing in scene.things:
            inside = scene.pixels[scene.mask(thing)].astype(int)
            near = np.abs(inside - np.array(RGB[thing.color])).max(axis=1) <= 1
            assert near.mean() > 0.8  # the rest is the smoothed edge
            assert abs(np.median(inside, axis=0) - np.array(RGB[thing.color])).max() <= 1


def test_cells_count_the_pixels_of_a_mark_laid_by_hand() -> None:
    mark = Thing("red", "mark", (32.0, 16.0), 10.0)
    cells = Scene((255, 255, 255), (), mark).cell_px(mark)
    assert cells[0].tolist() == [200, 200, 0, 0, 0, 0]
    assert cells.sum() == 400


def test_every_mark_lies_in_one_corner_cell_and_all_corners_occur() -> None:
    seen = set()
    for scene in drawn(60, marked=True):
        assert scene.mark
        rows, cols = np.nonzero(scene.cell_px(scene.mark))
        assert len(rows) == 1
        seen.add((int(rows[0]), int(cols[0])))
    last = SIDE_PX // CELL_PX - 1
    assert seen == {(0, 0), (0, last), (last, 0), (last, last)}


def test_every_object_fills_at_least_one_cell_enough_to_be_pointed_at() -> None:
    for scene in drawn(200):
        assert min(int(scene.cell_px(thing).max()) for thing in scene.objects) >= 60


BY_HAND = list(zip(itertools.product((20.0, 96.0, 180.0), repeat=2), PLACES, strict=True))


@pytest.mark.parametrize(("center_xy", "place"), BY_HAND)
def test_places_are_named_by_thirds(center_xy: tuple[float, float], place: str) -> None:
    y, x = center_xy
    assert Thing("red", "circle", (x, y), 25.0).place == place


def test_painting_over_a_box_leaves_background_there_and_all_else() -> None:
    scene = drawn(1)[0]
    box = scene.objects[0].box_xyxy
    left, top, right, bottom = box
    painted = np.asarray(scene.painted_over(box))
    assert (painted[top:bottom, left:right] == np.array(scene.background)).all()
    outside = np.ones((SIDE_PX, SIDE_PX), bool)
    outside[top:bottom, left:right] = False
    assert (painted[outside] == scene.pixels[outside]).all()


def test_colors_that_must_be_there_are() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        scene = sample_scene(rng, must_hold=("red", PARTNERS["red"]))
        assert {"red", "blue"} <= {thing.color for thing in scene.objects}


def test_smoothed_edges_keep_the_area_of_a_circle() -> None:
    circle = Thing("red", "circle", (96.0, 96.0), 25.0)
    area = Scene((255, 255, 255), (circle,)).mask(circle).sum()
    assert area == pytest.approx(math.pi * (0.92 * 25) ** 2, rel=0.02)
