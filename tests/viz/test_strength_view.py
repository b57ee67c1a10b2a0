"""What the page shows of a sweep: curves, maps at every scale, sentences, the figure and the table."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from inference.evidence.sweep import Place, Point, Strength, Sweep, by_scale, place_maps, read_sweep
from inference.trace.parse import parse_variant
from inference.trace.request import BASE, Keep, Request
from inference.trace.session import Session
from tests.fakes import CELL, COLS, ROWS, make_picture, make_session
from viz import overlay
from viz.strength_figure import strength_figure
from viz.strength_view import lines, place_of, sentences, strength_csv, strength_view
from viz.view import Choice

ASKED = Request("What is red?", (make_picture(),), (BASE, parse_variant("other")), keep=Keep(numbers="float32"))
CHOICE = Choice(token=4, token_to=5, layer=1, head=2)
BOX = (0.0, 0.0, 2.0 * CELL, float(CELL))


def make_sweep(*scales: float) -> Session:
    asked = Sweep("other", scales or (-1.0, 0.5)).request(ASKED, "star")
    session = make_session(replace(asked, keep=Keep(layers=(0, 1), numbers="float32")))
    return replace(session, runs=tuple(replace(run, expected_logprob=-0.5) for run in session.runs))


def made(*logprobs: tuple[float | None, float | None], own: str | None = "star") -> Strength:
    points = [Point(scale, base, mine, 0.5, None, 0.1) for scale, (base, mine) in enumerate(logprobs)]
    return Strength("other", "circle", own, tuple(points))


def test_every_scale_has_a_map_and_its_difference_on_common_scales() -> None:
    session = make_sweep()
    view = strength_view("id", session, CHOICE, BOX)
    assert (view.session, view.adapter, view.scales) == ("id", "other", [-1, 0, 0.5])
    assert view.labels == ["other@-1", "base", "other@0.5"]
    assert (view.token, view.where) == ("'circle'", "layer 1, head 2")
    grids = place_maps([run for _, run in by_scale(session)], Place(slice(4, 6), 1, 2))
    assert grids is not None
    scale, apart = overlay.colour_scale(list(grids)), overlay.difference_scale([grid - grids[1] for grid in grids])
    for grid, png, difference in zip(grids, view.maps, view.differences, strict=True):
        assert png == overlay.data_address(overlay.map_png(grid, scale, "viridis"))
        assert difference == overlay.data_address(overlay.difference_png(grid - grids[1], apart))
    assert view.map_scale.high == pytest.approx(100 * grids.max(), rel=0.01)
    assert view.difference_scale.low == -view.difference_scale.high
    assert view.inset == pytest.approx([0, 0, 2 / COLS, 1 / ROWS])
    assert [line.name.split()[0] for line in view.lines] == ["base's", "other's", "on", "in", "total"]
    within = strength_view("id", session, replace(CHOICE, within=True))
    assert within.map_scale.high == pytest.approx(100 * max((grid / grid.sum()).max() for grid in grids), rel=0.01)


def test_a_head_that_was_not_kept_has_curves_and_no_map() -> None:
    view = strength_view("id", make_sweep(), replace(CHOICE, layer=4))
    assert (view.maps, view.differences) == ([], [])
    assert view.missing.startswith("No map: head 2 of layer 4 was not kept")
    assert [line.name for line in view.lines][2:] == ["on the picture"]


def test_the_base_is_grey_and_the_adapter_has_its_own_colour() -> None:
    first, second = (lines(made((-1, -2), (-2, -1)), colour) for colour in (0, 2))
    assert [line.colour for line in first[:2]] == [overlay.BASE_COLOUR, overlay.ADAPTER_COLOURS[0]]
    assert second[1].colour == overlay.ADAPTER_COLOURS[2]
    assert len({line.colour for line in second}) == len(second)
    assert first[0].values == pytest.approx([math.exp(-1), math.exp(-2)])
    assert first[1].told[1] == "p 0.37 (-1.00 nats)"


def test_answers_too_long_to_be_likely_are_drawn_over_their_highest() -> None:
    line = lines(made((-30, None), (-31, -40)))[0]
    assert line.values == pytest.approx([1, math.exp(-1)])
    assert "over its highest (-30.0 nats)" in line.meaning


@pytest.mark.parametrize(
    ("strength", "told"),
    [
        (made((-1, -2), (-1, -2), (-2, -1)), "Between scale 1 and 2 'star', which other answers, overtakes the base's"),
        (
            made((-1, -2), (-1, -3)),
            "Up to scale 1 the base's 'circle' stays likelier than 'star', which other answers.",
        ),
        (made((-2, -1), (-3, -1)), "is the likelier of the two at every scale from 0 up."),
        (made((-1, -1), own="circle"), "The base and other both answer 'circle': one curve stands for both."),
        (made((-1, None), own=None), "is not known here"),
        (made((-1, None), own="star"), "is not known here"),
    ],
)
def test_a_sentence_says_where_the_answer_turns(strength: Strength, told: str) -> None:
    (sentence,) = sentences(strength)
    assert told in sentence


def test_the_figure_draws_what_the_page_draws() -> None:
    session = make_sweep()
    strength = read_sweep(session, place_of(session, CHOICE, BOX))
    figure = strength_figure(strength, "somewhere $x$")
    drawn = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]  # type: ignore[arg-type]
    for line, curve in zip(drawn, lines(strength), strict=True):
        assert np.allclose(np.asarray(line.get_ydata(), float), [value or 0 for value in curve.values], atol=1e-6)
        assert line.get_color() == curve.colour
    assert any("somewhere $x$" in text.get_text() for text in figure.texts)


def test_the_table_has_a_row_for_each_scale() -> None:
    rows = list(csv.DictReader(strength_csv(made((-1, None), (-2, -1))).splitlines()))
    assert [(row["scale"], row["base_logprob"], row["own_logprob"]) for row in rows] == [
        ("0", "-1", ""),
        ("1", "-2", "-1"),
    ]
