"""What is told of a knock-out and of a word without the picture, on an engine whose answers depend on a red square."""

from dataclasses import replace

import pytest

from inference.evidence.knockout import KnockOut
from inference.evidence.pictured import DependsOnPicture
from tests.fakes import CELL, COLS, ROWS, FakeEngine, make_session
from tests.inference.evidence.asking import ask
from viz.knockout_view import knockout_view, pictured_view
from viz.view import Choice

RED = (3.0 * CELL, 2.0 * CELL, 6.0 * CELL, 4.0 * CELL)


def test_a_row_has_the_fall_and_the_range_of_chance_on_one_axis() -> None:
    session = make_session()
    found = ask(FakeEngine(), session, KnockOut(RED, targets=("box", "whole")))
    view = knockout_view(session, Choice(), found)
    assert [(row.variant, row.target) for row in view.rows[:3]] == [
        ("base", "the box"), ("base", "the whole picture"), ("shortcut", "the box"),
    ]  # fmt: skip
    assert len({row.colour for row in view.rows}) == 3
    box, whole = view.rows[:2]
    assert (box.drop, box.at, box.found) == ("6.00", 1.0, True)
    assert (view.low, view.zero) == (0.0, 0.0)
    assert view.high == pytest.approx(6)
    assert view.threshold == pytest.approx(0.5 / 6)
    assert found.knocked[0].random
    assert box.chance[2] == pytest.approx(found.knocked[0].random.most / 6)
    assert (whole.chance, whole.chance_told) == ([], "")
    assert [(word.text, word.drop, word.shade) for word in box.words] == [(" cir", "6.00", 1.0), ("cle", "0.00", 0.0)]
    assert box.sentence.startswith("Without the box its words fall by 6.00 nats, more than any of 20 random boxes")
    assert view.inset == pytest.approx([3 / COLS, 2 / ROWS, 6 / COLS, 4 / ROWS])


def test_no_dependence_is_no_finding_and_half_a_nat_is_on_the_axis() -> None:
    session = make_session()
    found = ask(FakeEngine(), session, KnockOut((0, 0, 5, 5), draws=0))
    view = knockout_view(session, Choice(), found)
    assert [row.found for row in view.rows] == [False] * 3
    assert (view.high, view.threshold, view.rows[0].at) == (1.0, 0.5, 0.0)
    assert view.rows[0].sentence.startswith("No dependence found")
    assert [word.shade for word in view.rows[0].words] == [0.0, 0.0]


def test_a_hair_below_zero_is_zero_and_more_than_that_is_not() -> None:
    session = make_session()
    found = ask(FakeEngine(), session, KnockOut(RED, draws=0))
    for drop, low, shown in ((-0.004, 0.0, "0.00"), (-3.0, -3.0, "-3.00")):
        knocked = (replace(found.knocked[0], drop=drop, drops=(drop, 0.0)), *found.knocked[1:])
        view = knockout_view(session, Choice(), replace(found, knocked=knocked))
        assert (view.low, view.rows[0].drop, view.rows[0].words[0].drop) == (low, shown, shown)
        assert view.rows[0].at == 0.0
        assert view.zero == pytest.approx(-low / (view.high - low))


def test_a_word_is_named_with_its_probabilities() -> None:
    session = make_session()
    found = ask(FakeEngine(), session, DependsOnPicture(0))
    view = pictured_view(session, 4, found)
    assert view.token == 4
    assert [(row.variant, row.depends) for row in view.rows] == [
        ("base", True), ("shortcut", True), ("other@0.5", True),
    ]  # fmt: skip
    assert (
        view.rows[0].sentence == "'cir' depends on the picture: p\u00a00.90\u00a0\N{RIGHTWARDS ARROW}\u00a0below 0.01."
    )
    other = pictured_view(session, 5, ask(FakeEngine(), session, DependsOnPicture(1)))
    assert other.rows[0].sentence.startswith("'cle' does not depend on the picture")


def test_a_variant_left_out_has_no_row_and_colours_stay() -> None:
    session = make_session()
    whole = knockout_view(session, Choice(), ask(FakeEngine(), session, KnockOut(RED, draws=1)))
    few = replace(session, runs=session.runs[2:])
    view = knockout_view(session, Choice(), ask(FakeEngine(), few, KnockOut(RED, draws=1)))
    assert [(row.variant, row.colour) for row in view.rows] == [("other@0.5", whole.rows[2].colour)]
