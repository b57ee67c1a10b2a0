"""One index for all variants, however long they thought and answered."""

from dataclasses import replace

import pytest

from inference.trace.session import Session, Trace
from tests.fakes import make_session, make_token, make_trace
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
    assert [slots.tokens_at(slots.slots_of(session, trace), 9, 9) for trace in (none, two, five)] == [
        slice(4, 5),
        slice(6, 7),
        slice(9, 10),
    ]


@pytest.mark.parametrize(
    ("first", "last", "chosen"), [(0, 0, slice(0, 1)), (3, 5, slice(3, 5)), (5, 5, slice(0, 0)), (0, 5, slice(0, 5))]
)
def test_a_shorter_answer_has_fewer_of_the_chosen_tokens_or_none(first: int, last: int, chosen: slice) -> None:
    short, long = make_trace(("x",)), make_trace(("x", "y"))
    found = slots.slots_of(session_of(short, long, long), short)
    assert slots.tokens_at(found, first, last) == chosen


def test_template_tokens_take_part_in_the_first_stretch() -> None:
    trace = make_trace()
    early = (make_token("<|im_start|>", 0, 0, "prompt"), *trace.tokens)
    longer = replace(trace, tokens=early)
    assert slots.slots_of(session_of(longer, longer, longer), longer) == list(range(7))
