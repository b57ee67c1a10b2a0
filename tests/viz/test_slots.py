"""One index for all variants, and sums that are taken once and die with the rows."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from inference.trace import maps
from inference.trace.session import Session, Trace
from tests.fakes import LAYERS, make_session, make_token, make_trace
from viz import slots


def thinking(trace: Trace, count: int) -> Trace:
    """The trace with its first `count` answer tokens told as thinking."""
    first = next(i for i, token in enumerate(trace.tokens) if token.part == "answer")
    tokens = [
        replace(token, part="thinking") if first <= place < first + count else token
        for place, token in enumerate(trace.tokens)
    ]
    return replace(trace, tokens=tuple(tokens))


def session_of(*traces: Trace) -> Session:
    session = make_session()
    return replace(
        session, runs=tuple(replace(run, trace=trace) for run, trace in zip(session.runs, traces, strict=True))
    )


def test_without_thinking_an_index_is_the_place_in_the_trace() -> None:
    session = make_session()
    assert slots.slot_count(session) == 6
    assert slots.slots_of(session, session.runs[0].trace) == list(range(6))


def test_answers_line_up_however_long_a_variant_thought() -> None:
    words = tuple("abcdef")
    none, two, five = thinking(make_trace(words), 0), thinking(make_trace(words), 2), thinking(make_trace(words), 5)
    session = session_of(none, two, five)
    assert slots.slot_count(session) == 4 + 5 + 6
    assert slots.slots_of(session, none) == [0, 1, 2, 3, 9, 10, 11, 12, 13, 14]
    assert slots.slots_of(session, two) == [0, 1, 2, 3, 4, 5, 9, 10, 11, 12]
    assert slots.slots_of(session, five) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert [slots.tokens_at(session, trace, 9, 9) for trace in (none, two, five)] == [
        slice(4, 5),
        slice(6, 7),
        slice(9, 10),
    ]


@pytest.mark.parametrize(
    ("first", "last", "chosen"), [(0, 0, slice(0, 1)), (3, 5, slice(3, 5)), (5, 5, slice(0, 0)), (0, 5, slice(0, 5))]
)
def test_a_shorter_answer_has_fewer_of_the_chosen_tokens_or_none(first: int, last: int, chosen: slice) -> None:
    short, long = make_trace(("x",)), make_trace(("x", "y"))
    assert slots.tokens_at(session_of(short, long, long), short, first, last) == chosen


def test_template_tokens_take_part_in_the_first_stretch() -> None:
    trace = make_trace()
    early = (make_token("<|im_start|>", 0, 0, "prompt"), *trace.tokens)
    longer = replace(trace, tokens=early, rows=np.concatenate([trace.rows[:1], trace.rows]))
    assert slots.slots_of(session_of(longer, longer, longer), longer) == list(range(7))


@pytest.mark.parametrize("images", [0, 1, 2])
def test_the_sums_are_those_of_the_slow_way(images: int) -> None:
    trace = make_trace(images=images)
    sums = slots.overview(trace)
    assert np.allclose(sums.shares, maps.shares(trace), atol=1e-6)
    assert sums.pictures.shape[0] == images
    for image in range(images):
        for token in range(len(trace.tokens)):
            expected = maps.layer_head_share(trace, [token], image)
            assert np.allclose(sums.pictures[image, token], expected, atol=1e-6)
    assert np.allclose(sums.pooled.rows[:, 0, 0], trace.rows.mean((1, 2)), atol=1e-6)


def test_sums_are_taken_once_for_the_same_rows_and_go_with_them() -> None:
    trace = make_trace()
    first = slots.overview(trace)
    assert slots.overview(replace(trace)) is first
    alive = weakref.ref(first)
    other = replace(trace, rows=trace.rows[:, : LAYERS - 1])
    assert slots.overview(other).shares.shape[1] == LAYERS - 1
    del trace, first, other
    gc.collect()
    assert alive() is None
