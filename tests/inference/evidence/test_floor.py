"""What the noise floor asks for, which runs it holds against which, and the largest of their figures."""

import io
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from inference.errors import SettingsError
from inference.evidence.floor import (
    Pairing,
    check_same_words,
    floor_heads,
    floor_requests,
    kind_of,
    pairings,
    reworded,
)
from inference.evidence.neutral import neutral_request
from inference.trace import compare
from inference.trace.compare import Measure
from inference.trace.parse import parse_variant
from inference.trace.request import BASE, Keep, Request, Variant
from inference.trace.session import Session
from tests.fakes import make_picture, make_session, make_trace


def same_words_session() -> Session:
    return make_session(replace(make_session().request, words="base", expected_answer="circle", compare_eager=True))


def rerun(session: Session, number: int, seeds: tuple[int, ...]) -> Session:
    """What the planned request number `number` gives, with traces made from these seeds."""
    made = make_session(floor_requests(session).reruns[number].request)
    runs = [replace(run, trace=make_trace(seed=seed)) for run, seed in zip(made.runs, seeds, strict=True)]
    return replace(made, runs=tuple(runs))


def labels(request: Request) -> list[str]:
    return [variant.label for variant in request.variants]


def test_variants_that_said_the_same_are_asked_together_with_those_words() -> None:
    session = same_words_session()
    plan = floor_requests(session, "Which thing is red?")
    assert [one.kind for one in plan.reruns] == ["shift", "jpeg", "question", "shuffle", "shuffle"]
    for one in plan.reruns:
        asked = one.request
        assert asked.forced_answer == " circle" and asked.words == "own"
        assert asked.expected_answer is None and not asked.compare_eager
        assert asked.keep == replace(session.request.keep, keys="pictures")
        assert asked.question == ("Which thing is red?" if one.kind == "question" else session.request.question)
    assert labels(plan.reruns[0].request) == ["base", "shortcut", "other@0.5"]
    assert labels(plan.reruns[4].request) == ["shortcut~2", "other~2@0.5"]
    assert plan.left_out == ("Precision: nothing to measure, for the model runs in float32.",)


def test_own_answers_are_asked_apart_and_a_given_text_is_given_again() -> None:
    session = make_session()
    spoken = replace(session.runs[1], trace=make_trace((" st", "ar"), seed=1))
    session = replace(session, runs=(session.runs[0], spoken, session.runs[2]))
    plan = floor_requests(session)
    assert [(one.kind, one.request.forced_answer) for one in plan.reruns[:6]] == [
        (kind, words) for words in (" circle", " star") for kind in ("shift", "jpeg", "question")
    ]
    assert labels(plan.reruns[0].request) == ["base", "other@0.5"]
    given = make_session(replace(session.request, forced_answer="a red circle"))
    assert {one.request.forced_answer for one in floor_requests(given).reruns} == {"a red circle"}


def test_the_shifted_picture_and_the_jpeg_are_what_they_are_said_to_be() -> None:
    session = make_session()
    plan = floor_requests(session)
    before, shifted, pressed = (
        np.asarray(Image.open(io.BytesIO(request.images[0].png)), np.int32)
        for request in (session.request, plan.reruns[0].request, plan.reruns[1].request)
    )
    np.testing.assert_array_equal(shifted[1:, 1:], before[:-1, :-1])
    np.testing.assert_array_equal(shifted[0, 1:], before[0, :-1])
    assert shifted.shape == pressed.shape == before.shape
    assert 0 < np.abs(pressed - before).max() < 60
    assert plan.reruns[1].request.images[0].notes == ("saved as JPEG at quality 95",)


def test_what_cannot_be_measured_is_told() -> None:
    session = make_session(replace(make_session().request, variants=(parse_variant("other"),)))
    plan = floor_requests(session)
    assert [one.kind for one in plan.reruns] == ["shift", "jpeg", "question"]
    assert plan.left_out[0].startswith("Precision: nothing to measure")
    assert "the base was not asked" in plan.left_out[1]


def test_a_model_of_16_bits_is_asked_in_float32_too() -> None:
    session = same_words_session()
    plan = floor_requests(replace(session, model=replace(session.model, dtype="bfloat16")))
    assert [one.kind for one in plan.reruns] == ["shift", "jpeg", "question", "precision", "shuffle", "shuffle"]
    assert [one.request.full_precision for one in plan.reruns] == [False] * 3 + [True] + [False] * 2
    assert kind_of(session, make_session(plan.reruns[3].request)) == "precision"
    assert plan.left_out == ()


@pytest.mark.parametrize(
    ("change", "question", "told"),
    [
        ({"request": replace(make_session().request, images=())}, "", "a question with a picture"),
        ({}, "What is red?", "a question in other words"),
    ],
)
def test_what_cannot_be_asked_is_refused(change: dict[str, Any], question: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        floor_requests(replace(make_session(), **change), question)


def test_reasoning_and_silence_are_refused() -> None:
    session = make_session()
    thinking = replace(session.runs[0], thinking="hm")
    silent = replace(session.runs[0], answer="", trace=make_trace(()))
    for run, told in ((thinking, "without reasoning"), (silent, "an answer of some words")):
        with pytest.raises(SettingsError, match=told):
            floor_requests(replace(session, runs=(run,)))


def test_a_rerun_is_known_by_its_request() -> None:
    session = make_session()
    for one in floor_requests(session).reruns:
        assert kind_of(session, make_session(one.request)) == one.kind
    other = replace(session.request, images=(make_picture(64, 64),))
    for request in (session.request, other):
        with pytest.raises(SettingsError, match="a run again of this session"):
            kind_of(session, make_session(request))


def test_each_run_is_held_against_itself_run_again_and_the_base_against_the_shuffled() -> None:
    session = same_words_session()
    reruns = [rerun(session, 0, (10, 11, 12)), rerun(session, 3, (21, 22))]
    found = pairings(session, reruns, "base", "other@0.5", slice(1, 3))
    base, other = session.run("base").trace, session.run("other@0.5").trace
    again, shuffled = reruns[0].runs, reruns[1].runs
    expected = [
        ("shift", base, again[0].trace),
        ("shift", other, again[2].trace),
        ("shuffle", base, shuffled[1].trace),
    ]
    assert [(one.kind, id(one.a), id(one.b)) for one in found] == [(kind, id(a), id(b)) for kind, a, b in expected]
    assert all(one.tokens == (slice(1, 3), slice(1, 3)) for one in found)


def test_the_floor_is_the_largest_figure_of_each_kind() -> None:
    session = same_words_session()
    reruns = [rerun(session, 0, (10, 11, 12)), rerun(session, 1, (13, 14, 15)), rerun(session, 3, (21, 22))]
    found = pairings(session, reruns, "base", "shortcut", slice(1, 3))
    drawn: dict[Any, Any] = {"shift": ((0, 10), (1, 11)), "jpeg": ((0, 13), (1, 14)), "shuffle": ((0, 21),)}
    for measure in get_args(Measure):

        def figures(one: Pairing, measure: Measure = measure) -> np.ndarray:
            return compare.heads_apart(one.a, one.b, measure, tokens=one.tokens)

        floors = floor_heads(found, figures)
        assert list(floors) == list(drawn)
        for kind, seeds in drawn.items():
            sizes = [
                np.abs(compare.head_change(make_trace(seed=a), make_trace(seed=b), measure, tokens=slice(1, 3)))
                for a, b in seeds
            ]
            np.testing.assert_array_equal(floors[kind], np.max(sizes, axis=0))


def test_a_run_again_that_changed_nothing_has_no_noise() -> None:
    session = same_words_session()
    same = rerun(session, 1, (0, 1, 2))
    found = pairings(session, [same], "base", "shortcut", slice(0, 6))
    floors = floor_heads(found, lambda one: compare.heads_apart(one.a, one.b, "shannon", tokens=one.tokens))
    assert not floors["jpeg"].any()


def test_of_a_reworded_question_answer_tokens_alone_are_compared() -> None:
    session = same_words_session()
    again = rerun(session, 2, (0, 1, 2))
    longer = [replace(run, trace=replace(run.trace, tokens=run.trace.tokens[1:])) for run in again.runs]
    again = replace(again, runs=tuple(longer))  # its question has a token less

    def places(tokens: slice) -> list[tuple[slice, slice]]:
        return [one.tokens for one in pairings(session, [again], "base", "shortcut", tokens)]

    assert places(slice(5, 6)) == [(slice(5, 6), slice(4, 5))] * 2
    assert places(slice(4, 6)) == [(slice(4, 6), slice(3, 5))] * 2
    assert places(slice(3, 5)) == [] == places(slice(0, 1))


def test_other_words_are_no_noise() -> None:
    session = same_words_session()
    for number in (0, 2):
        again = rerun(session, number, (0, 1, 2))
        tokens = again.runs[0].trace.tokens
        spoken = (*tokens[:4], replace(tokens[4], id=9), *tokens[5:])
        runs = tuple(replace(run, trace=replace(run.trace, tokens=spoken)) for run in again.runs)
        assert pairings(session, [replace(again, runs=runs)], "base", "shortcut", slice(5, 6)) == []


def test_words_that_became_other_tokens_are_refused() -> None:
    session = same_words_session()
    again = rerun(session, 0, (0, 1, 2))
    check_same_words(session, again)
    check_same_words(session, rerun(session, 3, (0, 1)))
    first = again.runs[0]
    broken = replace(first, trace=replace(first.trace, tokens=first.trace.tokens[:-1]))
    with pytest.raises(SettingsError, match="other tokens for base"):
        check_same_words(session, replace(again, runs=(broken,)))


def test_other_kept_heads_are_no_noise() -> None:
    session = same_words_session()
    again = rerun(session, 0, (0, 1, 2))
    runs = tuple(replace(run, trace=make_trace(keep=Keep(layers=(1,)))) for run in again.runs)
    assert pairings(session, [replace(again, runs=runs)], "base", "shortcut", slice(5, 6)) == []


def test_the_neutral_question_is_answered_freely_by_the_same_variants() -> None:
    session = make_session(replace(make_session().request, forced_answer="circle", expected_answer="circle"))
    asked = neutral_request(session)
    assert (asked.question, asked.forced_answer, asked.expected_answer) == ("Describe the picture.", None, None)
    assert (asked.variants, asked.images) == (session.request.variants, session.request.images)
    assert neutral_request(session, " What is it? ").question == "What is it?"
    with pytest.raises(SettingsError, match="a question with a picture"):
        neutral_request(replace(session, request=replace(session.request, images=())))


def test_labels_of_shuffled_adapters() -> None:
    drawn = Variant(tuple(replace(one, shuffle=3) for one in parse_variant("a@0.5+b").adapters))
    assert drawn.label == "a~3@0.5+b~3"
    assert BASE.label == "base"
    assert reworded("What is it?") == "Please say: What is it?"
