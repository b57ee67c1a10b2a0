"""Differences of two traces against values made by hand, slow loops and invariants."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import spearmanr

from inference.errors import SettingsError
from inference.trace import compare, maps
from inference.trace.compare import Measure
from inference.trace.condense import condense
from inference.trace.request import Keep
from inference.trace.session import ImageSpan, Trace
from tests.fakes import make_token, make_trace

LAYERS, HEADS, ROWS, COLS = 3, 2, 5, 7
SPAN = ImageSpan(1, ROWS, COLS, (COLS * 32, ROWS * 32), (COLS * 32, ROWS * 32))
MEASURES: tuple[Measure, ...] = ("share", "variation", "shannon")


def trace_of(rows: np.ndarray, keep: Keep | None = None) -> Trace:
    tokens = tuple(make_token(f"w{i}", 37 + i, 37 + i, "question") for i in range(len(rows)))
    return condense(rows, tokens=tokens, images=(SPAN,), question_span=(37, 40), keep=keep)


def random_rows(seed: int, tokens: int = 2) -> np.ndarray:
    rows = np.random.default_rng(seed).gamma(0.3, size=(tokens, LAYERS, HEADS, 41)).astype(np.float32) + 1e-6
    return np.asarray(rows / rows.sum(-1, keepdims=True))


def change(a: Trace, b: Trace, measure: Measure, tokens: slice) -> np.ndarray:
    return compare.head_change(a, b, measure, tokens=tokens)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_trace_against_itself_is_no_change(measure: Measure) -> None:
    trace = trace_of(random_rows(0))
    values = change(trace, trace, measure, slice(0, 2))
    assert values.shape == (LAYERS, HEADS)
    assert not values.any()


def test_head_change_equals_plain_loops() -> None:
    rows_a, rows_b = random_rows(1), random_rows(2)
    found = {one: change(trace_of(rows_a), trace_of(rows_b), one, slice(0, 2)) for one in MEASURES}
    for at in np.ndindex(LAYERS, HEADS):
        a, b = (rows[:, at[0], at[1], 1:36].mean(0).astype(np.float64) for rows in (rows_a, rows_b))
        assert found["share"][at] == pytest.approx(b.sum() - a.sum(), abs=1e-6)
        a, b = a / a.sum(), b / b.sum()
        assert found["variation"][at] == pytest.approx(sum(abs(x - y) for x, y in zip(a, b, strict=True)) / 2)
        middle = (a + b) / 2
        bits = sum(x * np.log2(x / m) / 2 for one in (a, b) for x, m in zip(one, middle, strict=True))
        assert found["shannon"][at] == pytest.approx(bits**0.5, abs=1e-5)


def test_maps_with_nothing_in_common_are_as_far_apart_as_can_be() -> None:
    a, b = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.25, 0.75])
    assert compare.total_variation(a, b) == 1
    assert compare.shannon_distance(a, b) == pytest.approx(1)


def test_half_and_whole_by_hand() -> None:
    """W_a = (1, 0), W_b = (1/2, 1/2): middle (3/4, 1/4); (log2(4/3) + (log2(2/3) + 1) / 2) / 2 = 0.3113 bits."""
    a, b = np.array([1.0, 0]), np.array([0.5, 0.5])
    assert compare.total_variation(a, b) == 0.5
    assert compare.shannon_distance(a, b) ** 2 == pytest.approx(0.311278, abs=1e-6)


def test_a_head_that_does_not_look_has_a_share_and_no_distance() -> None:
    rows = random_rows(3)
    blind = rows.copy()
    blind[:, 1, 1, 1:36] = 0
    blind[:, 1, 1] /= blind[:, 1, 1].sum(-1, keepdims=True)
    found = {one: change(trace_of(rows), trace_of(blind), one, slice(0, 1)) for one in MEASURES}
    assert np.isnan(found["variation"][1, 1]) and np.isnan(found["shannon"][1, 1])
    assert np.isfinite(found["variation"]).sum() == LAYERS * HEADS - 1
    assert found["share"][1, 1] == pytest.approx(-rows[0, 1, 1, 1:36].sum(), abs=1e-6)
    assert len(compare.rank_heads(found["variation"], 99)) == LAYERS * HEADS - 1


def test_heads_that_were_not_kept_have_a_share_alone() -> None:
    keep = Keep(layers=(0, 2), heads=(1,), numbers="float32")
    rows_a, rows_b = random_rows(4), random_rows(5)
    part = {one: change(trace_of(rows_a, keep), trace_of(rows_b, keep), one, slice(0, 2)) for one in MEASURES}
    full = {one: change(trace_of(rows_a), trace_of(rows_b), one, slice(0, 2)) for one in MEASURES}
    np.testing.assert_allclose(part["share"], full["share"], atol=1e-6)
    assert np.argwhere(np.isfinite(part["variation"])).tolist() == [[0, 1], [2, 1]]
    np.testing.assert_allclose(part["variation"][[0, 2], 1], full["variation"][[0, 2], 1], atol=1e-6)


def test_other_words_other_grids_and_other_heads_are_refused() -> None:
    trace = trace_of(random_rows(6))
    words = replace(trace, tokens=(replace(trace.tokens[0], id=99), trace.tokens[1]))
    grid = replace(trace, images=(replace(SPAN, rows=COLS, cols=ROWS),))
    heads = trace_of(random_rows(6), Keep(heads=(0,)))
    for other, said in ((words, "other words"), (grid, "other picture grids"), (heads, "other ones")):
        with pytest.raises(SettingsError, match=said):
            change(trace, other, "share", slice(0, 1))


def test_own_answers_are_compared_up_to_the_token_at_which_they_part() -> None:
    """The row that predicts it has read the same words in both; the next one has not, nor has a longer answer's end."""
    a, b = make_trace((" a", "b", "c")), make_trace((" a", "x", "c", "d"), seed=1)
    b = replace(b, tokens=tuple(replace(one, id=99) if one.text == "x" else one for one in b.tokens))
    for fair in (slice(0, 4), slice(2, 6), slice(5, 6)):
        compare.check_comparable(a, b, fair)
        assert np.isfinite(change(a, b, "variation", fair)).all()
    for unfair in (slice(6, 7), slice(3, 7), slice(6, 8)):
        with pytest.raises(SettingsError, match="other words"):
            compare.check_comparable(a, b, unfair)


def test_the_same_word_after_a_longer_thought_is_not_compared() -> None:
    a = make_trace()
    moved = [replace(one, position=one.position + 2, row_at=one.row_at + 2) for one in a.tokens]
    later = tuple(new if one.part == "answer" else one for one, new in zip(a.tokens, moved, strict=True))
    with pytest.raises(SettingsError, match="other words"):
        compare.check_comparable(a, replace(a, tokens=later), slice(4, 5))


@pytest.mark.parametrize(
    ("start", "end", "cells"),
    [((0, 0), (3, 4), 5.0), ((2, 1), (2, 1), 0.0), ((4, 6), (4, 0), 6.0), ((1, 3), (0, 3), 1.0)],
)
def test_one_bright_cell_moves_as_far_as_it_moves(start: tuple[int, int], end: tuple[int, int], cells: float) -> None:
    a, b = np.zeros((ROWS, COLS)), np.zeros((ROWS, COLS))
    a[start], b[end] = 0.3, 0.8  # the shares on the picture differ, the maps within it are compared
    found = compare.moved(a, b)
    assert found.exact
    assert found.cells == pytest.approx(cells, abs=1e-6)


def test_moved_equals_the_whole_linear_program() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.gamma(0.4, size=(2, 3, 5))
    a, b = a / a.sum(), b / b.sum()
    places = np.argwhere(np.ones((3, 5)))
    cost = np.linalg.norm(places[:, None] - places[None], axis=-1).ravel()
    leaves = np.kron(np.eye(15), np.ones(15))
    comes = np.kron(np.ones(15), np.eye(15))
    best = linprog(cost, A_eq=np.vstack([leaves, comes]), b_eq=np.concatenate([a.ravel(), b.ravel()]))
    assert compare.moved(a, b).cells == pytest.approx(best.fun, abs=1e-6)


def test_large_maps_give_a_lower_bound() -> None:
    a, b = np.zeros((23, 19)), np.zeros((23, 19))
    a[2, 3], b[14, 8] = 1, 1
    found = compare.moved(a, b)
    assert not found.exact
    assert found.cells == pytest.approx(12)
    assert found.cells <= 13  # the straight line from one to the other


def test_an_empty_map_cannot_move() -> None:
    with pytest.raises(SettingsError, match="one without"):
        compare.moved(np.zeros((2, 3)), np.ones((2, 3)))


def test_heads_are_ranked_by_size_and_keep_their_sign() -> None:
    values = np.array([[0.1, -0.5], [np.nan, 0.3], [0.3, 0.0]], np.float32)
    ranked = compare.rank_heads(values, 3)
    assert [(one.layer, one.head) for one in ranked] == [(0, 1), (1, 1), (2, 0)]
    assert ranked[0].value == -0.5


def test_rank_correlation_by_hand() -> None:
    a = np.array([[0.1, 0.2], [0.3, np.nan]])
    assert compare.rank_correlation(a, np.array([[1.0, 4.0], [-9.0, 7.0]])) == pytest.approx(1)
    assert compare.rank_correlation(a, np.array([[9.0, 4.0], [1.0, 7.0]])) == pytest.approx(-1)
    assert np.isnan(compare.rank_correlation(a, np.ones((2, 2))))


def test_rank_correlation_with_ties_is_that_of_scipy() -> None:
    a, b = np.random.default_rng(9).integers(-3, 4, size=(2, 5, 7)).astype(np.float32)
    assert compare.rank_correlation(a, b) == pytest.approx(float(spearmanr(abs(a), abs(b), axis=None).statistic))


@pytest.mark.parametrize(
    ("a", "b", "place"), [((1, 2), (1, 2), None), ((1, 2), (1, 3), 1), ((1,), (1, 2), 1), ((), (4,), 0), ((), (), None)]
)
def test_where_two_answers_part(a: tuple[int, ...], b: tuple[int, ...], place: int | None) -> None:
    assert compare.first_parting(a, b) == place


def test_a_chosen_head_agrees_with_its_map() -> None:
    rows_a, rows_b = random_rows(8), random_rows(9)
    a, b = trace_of(rows_a), trace_of(rows_b)
    found = change(a, b, "variation", slice(1, 2))
    grids = [maps.image_map(one, tokens=slice(1, 2), layer=2, head=0, within=True).ravel() for one in (a, b)]
    assert found[2, 0] == pytest.approx(float(compare.total_variation(*grids)), abs=1e-6)


@pytest.mark.parametrize("measure", MEASURES)
def test_cells_left_out_count_as_dark(measure: Measure) -> None:
    rows_a, rows_b = random_rows(5), random_rows(6)
    without = np.random.default_rng(7).random((LAYERS, HEADS, ROWS * COLS)) < 0.2
    trace_a, trace_b = trace_of(rows_a), trace_of(rows_b)
    found = compare.head_change(trace_a, trace_b, measure, tokens=slice(0, 2), without=without)
    dark = []
    for rows in (rows_a, rows_b):
        left = rows.copy()
        left[..., 1:36][:, without] = 0
        dark.append(trace_of(left))
    expected = change(dark[0], dark[1], measure, slice(0, 2))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not np.allclose(found, change(trace_a, trace_b, measure, slice(0, 2)), atol=1e-3)


def test_tokens_taken_for_the_same_may_lie_at_other_places() -> None:
    rows = random_rows(8, tokens=3)
    trace = trace_of(rows)
    shifted = trace_of(rows[1:])
    for measure in MEASURES:
        assert not compare.heads_apart(trace, shifted, measure, tokens=(slice(1, 3), slice(0, 2))).any()
        assert compare.heads_apart(trace, shifted, measure, tokens=(slice(0, 2), slice(0, 2))).any()


def test_a_share_without_some_cells_needs_rows() -> None:
    keep = Keep(layers=(1,), numbers="float32")
    a, b = (trace_of(random_rows(seed), keep) for seed in (1, 2))
    without = np.zeros((LAYERS, HEADS, ROWS * COLS), bool)
    found = compare.head_change(a, b, "share", tokens=slice(0, 1), without=without)
    assert np.isnan(found[[0, 2]]).all() and np.isfinite(found[1]).all()
