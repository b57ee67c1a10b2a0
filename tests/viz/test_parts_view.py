"""Bars of what parts carry, and the bar of why a head moved."""

from dataclasses import replace

import pytest

from inference.evidence.exchange import Exchanged, PieceCarries, UpTo
from inference.evidence.parts import Moves, Parted, PartEffect, Watched
from inference.evidence.reasons import Moved
from viz.parts_view import exchanged_view, parted_view, reason_view

NONE = Moves(None, None)


def parted(off: Moves = NONE, alone: Moves = NONE) -> Parted:
    effects = (
        PartEffect("layer 3", 3, None, 3.0, -0.004, 0.75, -0.001, off, alone),
        PartEffect("q in all layers", None, "q", -1.0, 2.0, None, None, off, alone),
    )
    return Parted("other", "circle", -5, -1, 4.0, 0.6, effects, "It moves.", ("A note.",), 6, 0.25)


def exchanged(*pieces: PieceCarries, cumulative: tuple[UpTo, ...] = ()) -> Exchanged:
    return Exchanged("other", "circle", "adapter", -5, -1, 4.0, pieces, cumulative, "", 9, 2, 0.5, (), ("It moves.",))


def test_parts_are_bars_on_one_axis_that_holds_the_whole_change() -> None:
    view = parted_view(parted())
    assert [(column.title, column.low, column.high) for column in view.columns] == [
        ("lost without it", -1.0, 4.0),
        ("brought alone", -1.0, 4.0),
    ]
    assert [(row.name, row.group) for row in view.rows] == [("layer 3", "layer"), ("q in all layers", "kind")]
    assert [(bar.value, bar.told, bar.strong) for bar in view.rows[0].bars] == [
        (3.0, "+3.00 (75 %)", True),
        (-0.004, "0 (0 %)", False),
    ]
    assert [bar.told for bar in view.rows[1].bars] == ["-1.00", "+2.00"]
    assert (view.sentences, view.notes, view.cost) == (["It moves."], ["A note."], "6 runs, 0.2 s.")


def test_watched_maps_have_bars_of_their_own() -> None:
    view = parted_view(parted(Moves(0.2, 0.5), Moves(None, 0.3)))
    assert [(column.low, column.high) for column in view.columns[2:]] == [(0, 0.6), (0, 0.6)]
    assert [(bar.value, bar.told) for bar in view.rows[0].bars[2:]] == [(0.2, "0.20"), (0.3, "0.30")]


def test_whose_maps_they_are_is_told() -> None:
    found = replace(parted(Moves(0.2, 0.5)), watched=Watched(" red", 2, None))
    assert parted_view(found).notes == ["Map: where 'red' looks, layer 2, mean over its heads.", "A note."]


def test_pieces_are_told_alone_without_and_from_the_first_up() -> None:
    pieces = [PieceCarries("pictures", None, None, 0.0, 0.0, 0.0, 0.0)]
    for layer in (0, 1):
        pieces += [PieceCarries(part, layer, None, 1.0, 2.0, 0.25, 0.5) for part in ("attention", "mlp")]
    cumulative = (UpTo(None, 0.0, 0.0), UpTo(0, 2.5, 0.625), UpTo(1, 4.0, 1.0))
    view = exchanged_view(exchanged(*pieces, cumulative=cumulative))
    assert [column.title for column in view.columns] == ["alone", "without", "cumulative"]
    assert [row.name for row in view.rows][:3] == ["picture features", "layer 0, attention", "layer 0, mlp"]
    assert [row.bars[2].value for row in view.rows] == [0.0, None, 2.5, None, 4.0]
    assert [row.layer for row in view.rows] == [None, 0, None, 1, None]
    assert view.rows[4].bars[2].told == "+4.00 (100 %)"


def test_heads_of_a_layer_are_named() -> None:
    pieces = [PieceCarries("attention", 3, head, 1.0, 2.0, None, None) for head in (None, 0, 1)]
    view = exchanged_view(exchanged(*pieces))
    assert view.title == "other: heads of layer 3 exchanged with the base"
    assert [row.name for row in view.rows] == ["layer 3, attention", "layer 3, head 0", "layer 3, head 1"]
    assert (len(view.columns), {row.layer for row in view.rows}) == (2, {None})


def moved(*shares: float | None) -> Moved:
    query, key, inputs, rest = shares
    return Moved("other", " red", 2, 1, 0.3, query, key, inputs, rest, "It moved.")


def test_shares_are_one_bar_in_a_row() -> None:
    view = reason_view(moved(0.5, 0.25, 0.125, 0.125))
    assert [(part.left, part.right) for part in view.slices] == [(0, 0.5), (0.5, 0.75), (0.75, 0.875), (0.875, 1)]
    assert (view.zero, view.one, view.slices[0].told) == (0, 1, "50 %")


def test_what_turned_a_head_back_lies_left_of_zero() -> None:
    view = reason_view(moved(1.2, -0.4, 0.4, -0.2))
    spans = [(part.left, part.right) for part in view.slices]
    width = 1.6 + 0.6
    expected = [(0.6, 1.8), (0.2, 0.6), (1.8, 2.2), (0.0, 0.2)]
    for span, (left, right) in zip(spans, expected, strict=True):
        assert list(span) == pytest.approx([left / width, right / width])
    assert [view.zero, view.one] == pytest.approx([0.6 / width, 1.6 / width])


def test_a_head_that_stayed_has_no_bar() -> None:
    assert reason_view(moved(None, None, None, None)).title == "other: why head 1 of layer 2 moved, from 'red'"
    assert reason_view(moved(None, None, None, None)).slices == []
