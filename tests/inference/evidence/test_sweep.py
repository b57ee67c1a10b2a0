"""What a sweep asks, and how it is read: from made sessions, against values worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from inference.errors import SettingsError
from inference.evidence.sweep import SCALES, Place, Sweep, own_answer, own_request, place_maps, read_sweep, swept
from inference.trace.parse import parse_variant
from inference.trace.request import BASE, Keep, Limits, Request
from inference.trace.session import Session
from inference.trace.validate import check_request
from tests.fakes import CELL, COLS, ROWS, make_picture, make_session

ASKED = Request(
    "What is red?",
    (make_picture(),),
    (BASE, parse_variant("other"), parse_variant("shortcut@0.5")),
    forced_answer="circle",
    keep=Keep(answer=False, prompt=True, layers=(0, 2), numbers="float32"),
    compare_eager=True,
)
ANSWER = Place(slice(-1, None), layer=2, head=1)


def make_sweep(scales: tuple[float, ...] = (0.5, 0, -1), own: str | None = "star") -> Session:
    asked = replace(ASKED, keep=Keep(numbers="float32"))
    request = replace(Sweep("other", scales).request(asked, own), keep=Keep(numbers="float32"))
    session = make_session(request)
    runs = [replace(run, expected_logprob=-float(number)) for number, run in enumerate(session.runs)]
    return replace(session, runs=tuple(runs))


def test_a_sweep_asks_the_base_and_the_adapter_for_the_bases_words() -> None:
    asked = Sweep("other", (1, 0, -0.5)).request(ASKED, " star")
    assert [variant.label for variant in asked.variants] == ["base", "other@-0.5", "other"]
    assert (asked.words, asked.forced_answer, asked.expected_answer) == ("base", None, " star")
    assert asked.keep == Keep(answer=True, prompt=True, layers=(0, 2), keys="pictures", numbers="float16")
    assert not asked.compare_eager
    assert (asked.question, asked.images, asked.generation) == (ASKED.question, ASKED.images, ASKED.generation)
    check_request(asked, Limits())
    check_request(Sweep("other").request(replace(ASKED, images=()), ""), Limits())


def test_the_usual_scales_reach_from_the_base_to_half_as_much_again() -> None:
    assert SCALES == (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5)
    assert len(Sweep("other").variants) == 7


@pytest.mark.parametrize(
    ("scales", "arrived"),
    [((), "none"), ((0,), "0"), ((1, 2, 1), "1, 2, 1"), ((math.nan,), "nan"), ((0, -0.0, 1), "0")],
)
def test_scales_that_make_no_sweep_are_refused(scales: tuple[float, ...], arrived: str) -> None:
    with pytest.raises(SettingsError, match=f"got {arrived}"):
        Sweep("other", scales).request(ASKED, None)


def test_bounds_are_those_of_any_question() -> None:
    with pytest.raises(SettingsError, match="a scale between -4 and 4, got 5 for other"):
        check_request(Sweep("other", (1, 5)).request(ASKED, None), Limits())
    many = tuple(step / 16 for step in range(1, 16))
    check_request(Sweep("other", many).request(ASKED, None), Limits())
    with pytest.raises(SettingsError, match="1 to 16 variants, got 17"):
        check_request(Sweep("other", (*many, 2)).request(ASKED, None), Limits())


def test_the_own_answer_is_that_of_the_adapter_alone_in_its_own_words() -> None:
    session = make_session(replace(ASKED, forced_answer=None, keep=Keep()))
    assert own_answer(session, "other") == " circle"
    assert own_answer(session, "shortcut") is None
    assert own_answer(make_session(replace(ASKED, keep=Keep())), "other") is None
    thought = replace(session, runs=tuple(replace(run, thinking="Hm.") for run in session.runs))
    assert own_answer(thought, "other") == ""
    asked = own_request(ASKED, "shortcut")
    assert (asked.variants, asked.words, asked.forced_answer) == ((parse_variant("shortcut"),), "own", None)
    check_request(asked, Limits())


def test_curves_are_read_at_every_scale() -> None:
    session = make_sweep()
    strength = read_sweep(session, ANSWER)
    assert (strength.adapter, strength.base_answer, strength.own_answer) == ("other", "circle", "star")
    assert not strength.alike
    assert [point.scale for point in strength.points] == [-1, 0, 0.5]
    assert [point.own_logprob for point in strength.points] == [-1, 0, -2]  # in the order of variants the base is first
    assert [point.base_logprob for point in strength.points] == pytest.approx([-0.2] * 3)
    base, low, high = (run.trace.rows[-1, 2, 1][run.trace.columns(0)] for run in session.runs)
    assert [point.on_picture for point in strength.points] == pytest.approx([low.sum(), base.sum(), high.sum()])
    apart = [np.abs(one / one.sum() - base / base.sum()).sum() / 2 for one in (low, base, high)]
    assert [point.variation for point in strength.points] == pytest.approx(apart, abs=1e-6)
    assert strength.points[1].variation == 0
    assert {point.in_box for point in strength.points} == {None}


def test_the_share_in_a_box_is_read_beside_them() -> None:
    session = make_sweep()
    whole = (0.0, 0.0, float(COLS * CELL), float(ROWS * CELL))
    for point in read_sweep(session, replace(ANSWER, box=whole)).points:
        assert point.in_box == pytest.approx(point.on_picture)
    corner = read_sweep(session, replace(ANSWER, box=(0.0, 0.0, CELL / 2, float(CELL)))).points[1]
    assert corner.in_box == pytest.approx(session.runs[0].trace.rows[-1, 2, 1][session.runs[0].trace.columns(0)][0] / 2)


def test_means_over_layers_and_heads_are_read_where_a_head_was_not_kept() -> None:
    session = make_session(
        replace(Sweep("other", (1,)).request(ASKED, None), keep=Keep(layers=(0,), numbers="float32"))
    )
    blind = read_sweep(session, ANSWER).points[0]
    assert (blind.variation, blind.own_logprob) == (None, None)
    assert blind.on_picture is not None
    mean = read_sweep(session, Place(slice(0, 2))).points[1]
    trace = session.runs[1].trace
    assert mean.on_picture == pytest.approx(trace.sums[:2, :, :, 3].mean(), rel=1e-5)
    assert mean.variation is not None
    grids = place_maps(session.runs, Place(slice(0, 2)))
    assert grids is not None and grids.shape == (2, ROWS, COLS)
    assert place_maps(session.runs, ANSWER) is None


def test_a_sweep_without_a_picture_has_answers_alone() -> None:
    session = make_session(
        replace(Sweep("other", (1,)).request(replace(ASKED, images=()), "star"), keep=Keep()), images=0
    )
    point = read_sweep(session, Place(slice(-1, None))).points[1]
    assert point.base_logprob == pytest.approx(-0.2)
    assert (point.on_picture, point.in_box, point.variation) == (None, None, None)


def test_other_sessions_are_no_sweep() -> None:
    assert swept(make_sweep()) == "other"
    for variants, words in (("base other shortcut", "base"), ("base other+shortcut", "base"), ("base other", "own")):
        asked = replace(ASKED, forced_answer=None, variants=tuple(map(parse_variant, variants.split())), keep=Keep())
        with pytest.raises(SettingsError, match="a sweep of one adapter"):
            swept(make_session(replace(asked, words=words)))  # type: ignore[arg-type]
