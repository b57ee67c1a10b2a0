"""What may be compared, where answers part, and the numbers of a change, against the traces themselves."""

import gc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from inference.errors import GeometryError, SettingsError
from inference.trace import compare, maps
from inference.trace.request import Keep, Request
from inference.trace.session import Run, Session
from tests.fakes import COLS, HEADS, LAYERS, ROWS, make_picture, make_session, make_trace
from viz.change_numbers import change_numbers
from viz.change_view import Pair
from viz.changed import changed, check_pair, head_values, how_far, moved_told, parting_at, parting_told
from viz.choices import check_choice
from viz.recent import Recent
from viz.seen import words_told
from viz.view import Choice

AT = Choice(token=2, token_to=2, layer=3, head=1)


def parted_session() -> Session:
    """The base says three tokens, shortcut another second one, other@0.5 the first of them alone."""
    session = make_session()
    answers = {"base": (" a", "b", "c"), "shortcut": (" a", "x", "c"), "other@0.5": (" a",)}
    runs = []
    for seed, run in enumerate(session.runs):
        trace = make_trace(answers[run.variant.label], seed=seed)
        tokens = tuple(replace(one, id=99) if one.text == "x" else one for one in trace.tokens)
        runs.append(replace(run, trace=replace(trace, tokens=tokens)))
    return replace(session, runs=tuple(runs))


def answer(place: int, to: int | None = None) -> Choice:
    """The answer's tokens from `place` on; the question has four."""
    return Choice(token=4 + place, token_to=4 + (place if to is None else to), layer=3, head=1)


@pytest.mark.parametrize(("label", "index"), [("base", None), ("shortcut", 5), ("other@0.5", 5)])
def test_where_answers_part(label: str, index: int | None) -> None:
    session = parted_session()
    assert parting_at(session, session.run("base"), session.run(label)) == index


def test_parting_is_told_with_both_words() -> None:
    session = parted_session()
    base = session.run("base")
    assert "part here: 'b', 'x'." in parting_told(session, base, session.run("shortcut"), 5)
    assert "part here: 'b', nothing more." in parting_told(session, base, session.run("other@0.5"), 5)


@pytest.mark.parametrize(
    ("choice", "b", "missing"),
    [
        (AT, "shortcut", ""),
        (answer(0), "other@0.5", ""),
        (answer(1), "shortcut", ""),
        (answer(2), "shortcut", "had read different words"),
        (answer(0, 2), "shortcut", "had read different words"),
        (answer(1), "other@0.5", "other@0.5 has no token at this place"),
        (answer(0, 1), "other@0.5", "had read different words"),
        (AT, "base", "two different variants"),
    ],
)
def test_only_what_came_after_the_same_words_is_compared(choice: Choice, b: str, missing: str) -> None:
    found = changed(parted_session(), choice, "base", b)
    assert (found.missing == "") == (missing == "")
    assert missing in found.missing
    assert np.isnan(head_values(found, "share", 0)).all() == bool(missing)


def test_after_other_thoughts_the_question_alone_is_compared() -> None:
    session = make_session()
    runs = (session.runs[0], replace(session.runs[1], thinking="hm"), session.runs[2])
    session = replace(session, runs=runs)
    assert changed(session, AT, "base", "shortcut").missing == ""
    assert "different words" in changed(session, answer(0), "base", "shortcut").missing


def test_a_session_of_one_variant_and_one_without_a_picture_say_so() -> None:
    alone = make_session(Request("What?", (make_picture(),)))
    pair = check_pair(alone, {})
    assert (pair.a, pair.b) == ("base", "base")
    assert "tick more" in changed(alone, AT, pair.a, pair.b).missing
    blind = make_session(Request("What?", (), make_session().request.variants))
    assert "without a picture" in changed(blind, Choice(), "base", "shortcut").missing


def test_heads_that_were_not_kept_have_no_map_and_a_share() -> None:
    variants = make_session().request.variants
    session = make_session(Request("What?", (make_picture(),), variants, keep=Keep(layers=(0,))))
    found = changed(session, AT, "base", "shortcut")
    assert (found.missing, "was not kept" in found.blind) == ("", True)
    assert np.isfinite(head_values(found, "share", 0)).all()
    with pytest.raises(SettingsError, match="was not kept"):
        how_far(found, AT)


def test_the_pair_is_base_and_the_first_adapter_unless_said() -> None:
    session = make_session()
    assert check_pair(session, {}) == Pair("base", "shortcut")
    assert check_pair(session, {"a": "shortcut"}) == Pair("shortcut", "base")
    turned = replace(session, runs=session.runs[::-1])
    assert check_pair(turned, {}) == Pair("base", "other@0.5")


@pytest.mark.parametrize(
    "raw",
    [
        [],
        None,
        {"x": 1},
        {"a": "none"},
        {"b": 3},
        {"measure": "sum"},
        {"measure": []},
        {"box": [1, 2, 3]},
        {"box": "1234"},
        {"box": [0, 0, True, 9]},
        {"box": [0, 0, 10**400, 9]},
        {"box": [0, 0, float("nan"), 9]},
        {"box": {"left": 1}},
    ],
)
def test_forged_pairs_are_refused(raw: Any) -> None:
    with pytest.raises(SettingsError):
        check_pair(make_session(), raw)


@pytest.mark.parametrize("box", [[900, 0, 999, 9], [5, 5, 5, 9]])
def test_boxes_beside_the_picture_are_refused(box: list[float]) -> None:
    with pytest.raises(GeometryError):
        check_pair(make_session(), {"box": box})


def test_words_are_named() -> None:
    request = make_session().request
    assert words_told(make_session()) == "own answers"
    assert "base's answer" in words_told(make_session(replace(request, words="base")))
    assert "given" in words_told(make_session(replace(request, forced_answer="red")))


def test_how_far_is_told_exactly_or_as_a_bound() -> None:
    assert moved_told(compare.Moved(2.0, exact=True)) == "The map moved by 2.00 cells on average."
    assert "at least 3.50 cells" in moved_told(compare.Moved(3.5, exact=False))


def test_numbers_are_those_of_the_traces() -> None:
    session = make_session()
    choice = check_choice(session, {"token": 1, "token_to": 4, "layer": 2, "head": 0})
    pair = check_pair(session, {"a": "other@0.5", "b": "shortcut", "measure": "variation", "box": [40, 30, 100, 90]})
    found = change_numbers(session, choice, pair)
    a, b = session.run("other@0.5").trace, session.run("shortcut").trace
    expected = compare.head_change(a, b, "variation", tokens=slice(1, 5))
    np.testing.assert_allclose(found["heads"], expected)
    map_a, map_b = (maps.image_map(one, tokens=slice(1, 5), layer=2, head=0) for one in (a, b))
    np.testing.assert_allclose(found["cell"]["difference"], map_b - map_a, atol=1e-7)
    assert found["cell"]["moved"]["cells"] == pytest.approx(compare.moved(map_a, map_b).cells)
    assert found["ranked"][0]["value"] == pytest.approx(float(expected.max()))
    third = compare.head_change(a, session.run("base").trace, "variation", tokens=slice(1, 5))
    assert found["rank_correlation"] == {"base": pytest.approx(compare.rank_correlation(expected, third))}
    assert [one["variant"] for one in found["box"]["variants"]] == ["base", "shortcut", "other@0.5"]
    assert [len(one["tokens"]) for one in found["tokens"]] == [4, 4]
    assert (found["parting"], found["missing"]) == (None, "")


def test_numbers_that_cannot_be_are_null() -> None:
    found = change_numbers(parted_session(), answer(2), Pair("base", "shortcut"))
    assert found["heads"] == [[None] * HEADS] * LAYERS
    assert (found["ranked"], found["cell"], found["box"], found["parting"]) == ([], None, None, 5)


def test_a_map_of_nothing_did_not_move() -> None:
    session = make_session()
    run = session.runs[1]
    blank = replace(run, trace=replace(run.trace, rows=np.zeros_like(run.trace.rows)))
    session = replace(session, runs=(session.runs[0], blank))
    cell = change_numbers(session, AT, Pair("base", "shortcut"))["cell"]
    assert cell["moved"] is None
    assert np.asarray(cell["b"]).shape == (ROWS, COLS)


def test_recent_values_are_made_once_while_their_trace_lives() -> None:
    recent, made = Recent(most=2), []

    def make(number: int) -> np.ndarray:
        made.append(number)
        return np.full((LAYERS, HEADS), number, np.float32)

    runs: list[Run] = list(make_session().runs)
    first, second = runs[0].trace, runs[1].trace
    for _ in range(2):
        assert recent.get((first, second), "x", lambda: make(1))[0, 0] == 1
    assert recent.get((second, first), "x", lambda: make(2))[0, 0] == 2
    assert recent.get((first, second), "y", lambda: make(3))[0, 0] == 3  # and the oldest goes
    assert recent.get((first, second), "x", lambda: make(4))[0, 0] == 4
    assert made == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="read-only"):
        recent.get((first, second), "x", lambda: make(5))[0, 0] = 7
    del first, runs[0]
    gc.collect()
    assert recent._made == {}


def test_variants_need_no_base() -> None:
    session = make_session()
    alone = replace(session, runs=session.runs[1:])
    assert check_pair(alone, {}) == Pair("shortcut", "other@0.5")
