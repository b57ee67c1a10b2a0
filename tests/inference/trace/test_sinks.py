"""Sinks and relative maps against values made by hand and plain loops."""

from dataclasses import replace
from statistics import median

import numpy as np
import pytest

from inference.errors import SettingsError
from inference.trace import maps, sinks
from inference.trace.condense import condense
from inference.trace.request import Keep
from inference.trace.session import Trace
from tests.fakes import COLS, HEADS, LAYERS, ROWS, make_trace

CELLS = ROWS * COLS


def test_a_question_against_itself_is_zero_everywhere() -> None:
    trace = make_trace(seed=3)
    for tokens in (slice(0, 4), slice(1, 2), slice(4, 6), slice(2, 5)):
        assert sinks.counterparts(trace, tokens, trace) == list(range(6))[tokens]
        now = maps.image_map(trace, tokens=tokens, layer=2, head=1)
        then = sinks.neutral_map(trace, trace, tokens=tokens, layer=2, head=1)
        assert not sinks.relative_map(now.ravel(), then.ravel()).any()


def test_the_log_ratio_by_hand() -> None:
    """Two cells: W = (3/4, 1/4) against (1/4, 3/4), e = 0.05: log2(0.8 / 0.3) and its negative."""
    found = sinks.relative_map(np.array([0.3, 0.1]), np.array([0.2, 0.6]))
    np.testing.assert_allclose(found, np.array([1, -1]) * np.log2(0.8 / 0.3))


def test_cells_that_nobody_looks_at_are_no_infinity_and_empty_maps_are_nan() -> None:
    assert np.isfinite(sinks.relative_map(np.array([0.0, 0.5]), np.array([0.5, 0.0]))).all()
    assert np.isnan(sinks.relative_map(np.zeros(3), np.ones(3))).all()
    assert np.isnan(sinks.relative_map(np.ones(3), np.zeros(3))).all()


def test_places_count_from_the_questions_end_and_from_the_answers_start() -> None:
    trace = make_trace(answer=("a", "b", "c"))  # 4 tokens of the question, then 3
    neutral = make_trace(answer=("x",))
    short = replace(neutral, tokens=(*neutral.tokens[2:4], neutral.tokens[4]))
    assert sinks.counterparts(trace, slice(0, 7), short) == [0, 0, 0, 1, 2, 2, 2]


def test_a_part_that_the_neutral_run_did_not_keep_is_refused() -> None:
    trace = make_trace()
    silent = replace(trace, tokens=trace.tokens[:4])
    with pytest.raises(SettingsError, match="a neutral question whose tokens were kept"):
        sinks.counterparts(trace, slice(4, 5), silent)


def test_bright_cells_by_hand() -> None:
    """Of 20 cells of 0.01 one at 0.05 (5 times the median: not more), one at 0.06, which is above 5 % too."""
    grid = np.full(20, 0.01)
    grid[3], grid[7] = 0.05, 0.0501
    assert np.flatnonzero(sinks.bright(grid)).tolist() == [7]
    many = np.full(200, 0.01)
    many[7] = 0.08  # eight times the median, and 4 % of the sum
    assert not sinks.bright(many).any()
    assert not sinks.bright(np.zeros(5)).any()
    assert not sinks.bright(np.full(5, np.nan)).any()


def test_only_what_is_bright_both_times_is_a_sink() -> None:
    now, then = np.full((2, 20), 0.01), np.full((2, 20), 0.01)
    now[0, [2, 5]], then[0, [5, 9]] = 0.3, 0.3
    now[1, 4] = 0.3
    assert np.argwhere(sinks.sinks(now, then)).tolist() == [[0, 5]]


def test_the_sinks_of_all_heads_equal_plain_loops() -> None:
    trace, neutral = (spotted(seed, {(1, 2): 40, (3, 0): 8}) for seed in (1, 2))
    found = sinks.head_sinks(trace, neutral, tokens=slice(1, 3))
    assert found.shape == (LAYERS, HEADS, CELLS)
    for layer, head in np.ndindex(LAYERS, HEADS):
        grids = [
            [float(one.rows[1:3, layer, head, 3 + cell].mean()) for cell in range(CELLS)] for one in (trace, neutral)
        ]
        for cell in range(CELLS):
            is_bright = [grid[cell] > 5 * median(grid) and grid[cell] >= 0.05 * sum(grid) for grid in grids]
            assert found[layer, head, cell] == all(is_bright)
    assert found[1, 2, 40] and found[3, 0, 8]


def test_heads_that_were_not_kept_have_no_sinks() -> None:
    keep = Keep(layers=(1,), heads=(2,), numbers="float32")
    trace, neutral = (spotted(seed, {(1, 2): 40}, keep) for seed in (1, 2))
    found = sinks.head_sinks(trace, neutral, tokens=slice(1, 3))
    assert np.argwhere(found.any(-1)).tolist() == [[1, 2]]


def test_another_choice_of_heads_or_another_picture_is_refused() -> None:
    trace = make_trace()
    for other in (make_trace(keep=Keep(layers=(1,), numbers="float32")), make_trace(images=2)):
        with pytest.raises(SettingsError, match="a neutral question about the same picture"):
            sinks.head_sinks(trace, other, tokens=slice(0, 1))


def spotted(seed: int, spots: dict[tuple[int, int], int], keep: Keep | None = None) -> Trace:
    """A made trace in which some heads always give half of their attention to one cell."""
    trace = make_trace(seed=seed)
    rows = np.array(trace.rows)
    for (layer, head), cell in spots.items():
        rows[:, layer, head] *= 0.5
        rows[:, layer, head, 3 + cell] += 0.5
    return condense(rows, tokens=trace.tokens, images=trace.images, question_span=trace.question_span, keep=keep)
