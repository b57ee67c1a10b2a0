"""What the attention of each layer did beside the base's: by hand, and where it cannot be told."""

from dataclasses import replace

import numpy as np
import pytest

from inference.trace.request import Variant
from inference.trace.session import Run, Session
from tests.fakes import LAYERS, make_session, make_trace
from viz.layer_change import layer_changes
from viz.view import Choice


def test_values_are_the_mean_over_heads_of_the_share_on_the_picture_less_the_bases() -> None:
    session = make_session(images=2)
    told = layer_changes(session, Choice(token=2, token_to=3, image=1))
    base, shortcut, other = (run.trace.sums for run in session.runs)
    by_hand = [[float((sums[2:4, layer, :, 4] - base[2:4, layer, :, 4]).mean()) for layer in range(LAYERS)]
               for sums in (shortcut, other)]  # fmt: skip
    np.testing.assert_allclose([change.values for change in told.changes], by_hand, atol=1e-7)
    assert [(change.variant, change.adapters) for change in told.changes] == [
        ("shortcut", ["shortcut"]),
        ("other@0.5", ["other"]),
    ]
    assert told.highest == pytest.approx(np.abs(by_hand).max())
    assert told.token == "'red?'"
    layer = int(np.abs(by_hand[0]).argmax())
    assert told.changes[0].summary.startswith(
        f"At 'red?' shortcut moves most in layer {layer}, by {100 * by_hand[0][layer]:+.3g} points: from "
    )


def test_the_same_attention_moves_nothing() -> None:
    session = make_session()
    alike = tuple(replace(run, trace=session.runs[0].trace) for run in session.runs)
    told = layer_changes(replace(session, runs=alike), Choice(token=1, token_to=1))
    assert (told.highest, told.changes[0].values) == (0.0, [0.0] * LAYERS)
    assert told.changes[0].summary == (
        "At 'is' shortcut moves nothing of the attention on the picture: in every layer it is the base's."
    )


def test_a_change_below_what_is_seen_is_called_next_to_nothing() -> None:
    session = make_session()
    trace = session.runs[0].trace
    nearly = replace(trace, sums=trace.sums + np.float32(1e-4))
    runs = (session.runs[0], replace(session.runs[1], trace=nearly))
    [change] = layer_changes(replace(session, runs=runs), Choice()).changes
    assert change.summary == (
        "At 'What' shortcut moves less than 0.05 points of the attention on the picture in every layer."
    )


def spoken(session: Session, *answers: tuple[str, ...]) -> Session:
    """The session with these answers, tokens of other texts having other ids."""
    runs: list[Run] = []
    for run, answer in zip(session.runs, answers, strict=True):
        trace = make_trace(answer)
        tokens = tuple(replace(token, id=sum(map(ord, token.text))) for token in trace.tokens)
        runs.append(replace(run, trace=replace(trace, tokens=tokens)))
    return replace(session, runs=tuple(runs))


def test_after_other_words_nothing_is_compared() -> None:
    session = spoken(make_session(), ("a", "b"), ("a", "c"), ("x", "b", "z"))
    first, second, third = (layer_changes(session, Choice(token=4 + at, token_to=4 + at)) for at in range(3))
    assert [change.missing for change in first.changes] == ["", ""]
    assert second.changes[0].missing == ""
    assert second.changes[0].summary.startswith("At 'c' (base: 'b') shortcut moves nothing")
    assert second.changes[1].missing.startswith("The words before it are not the base's")
    assert (second.changes[1].values, second.changes[1].summary) == ([], "")
    assert [change.missing for change in third.changes] == [
        "The answer of shortcut has no token there.",
        "The base has no such token there: choose one of the question.",
    ]


def test_without_a_base_or_a_picture_there_is_nothing_to_compare() -> None:
    session = make_session()
    alone = replace(session, runs=session.runs[1:])
    assert {change.missing for change in layer_changes(alone, Choice()).changes} == {
        "The base was not asked, so there is nothing to compare with."
    }
    blind = make_session(images=0)
    assert {change.missing for change in layer_changes(blind, Choice()).changes} == {
        "The question was asked without a picture."
    }
    assert layer_changes(replace(session, runs=session.runs[:1]), Choice()).changes == []
    assert session.runs[0].variant == Variant()
