"""Intervals and tests against values by hand, scipy, and data whose truth is known."""

import itertools

import numpy as np
import pytest
from scipy import stats

from inference.study.statistics import FLIPS, estimate, sign_flips, split_groups

SIX = np.arange(6)


def test_a_mean_comes_with_no_interval_under_five_pictures() -> None:
    told = estimate(np.array([1.0, 2, 3, 6]), np.arange(4), seed=0)
    assert (told.mean, told.low, told.high, told.n) == (3, None, None, 4)
    same = estimate(np.ones(9), np.repeat(np.arange(3), 3), seed=0)
    assert (same.low, same.n) == (None, 9)


def test_an_interval_is_that_of_scipys_bootstrap() -> None:
    values = np.random.default_rng(1).gamma(2.0, size=40)
    told = estimate(values, np.arange(40), seed=0)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=2).confidence_interval
    assert told.low == pytest.approx(theirs.low, abs=0.03) and told.high == pytest.approx(theirs.high, abs=0.03)
    assert told == estimate(values, np.arange(40), seed=0)


def test_lines_about_one_picture_are_drawn_together() -> None:
    values = np.random.default_rng(2).normal(size=10)
    alone = estimate(values, np.arange(10), seed=0)
    together = estimate(np.repeat(values, 7), np.repeat(np.arange(10), 7), seed=0)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))
    assert together.n == 70


def test_sign_flips_of_six_pictures_are_those_counted_one_by_one() -> None:
    changes = np.random.default_rng(3).normal(0.4, size=(6, 5, 3))
    told = sign_flips(changes, SIX, seed=0)
    assert told is not None and told.exact and told.flips == 32

    def statistic(data: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(stats.ttest_1samp(data, 0).statistic))

    flipped = np.stack([statistic(changes * np.reshape(s, (6, 1, 1))) for s in itertools.product((1, -1), repeat=6)])
    own = statistic(changes) - 1e-9
    np.testing.assert_allclose(told.p, (flipped >= own).mean(0))
    np.testing.assert_allclose(told.corrected, (flipped.max((1, 2))[:, None, None] >= own).mean(0))


def test_many_pictures_are_flipped_at_random_and_agree_with_the_t_test() -> None:
    changes = np.random.default_rng(4).normal(0.25, size=(40, 7))
    told = sign_flips(changes, np.arange(40), seed=0)
    assert told is not None and not told.exact and told.flips == FLIPS + 1
    np.testing.assert_allclose(told.p, stats.ttest_1samp(changes, 0).pvalue, atol=0.03)
    assert (told.corrected >= told.p).all()


def test_nothing_there_gives_even_p_and_few_false_heads() -> None:
    rng = np.random.default_rng(5)
    found = [sign_flips(rng.standard_t(3, size=(9, 13)), np.arange(9), seed=0) for _ in range(300)]
    single = np.concatenate([one.p for one in found if one is not None])
    assert stats.kstest(single, "uniform").statistic < 0.04
    false = np.mean([one.corrected.min() <= 0.05 for one in found if one is not None])
    assert 0.02 <= false <= 0.08


def test_a_planted_head_is_found_and_no_other() -> None:
    changes = np.random.default_rng(6).normal(0, 0.01, size=(20, 5, 3))
    changes[:, 3, 1] -= 0.01
    changes[:, :, 2] *= 100  # loud heads do not drown it
    told = sign_flips(changes, np.arange(20), seed=0)
    assert told is not None
    assert np.argwhere(told.corrected <= 0.05).tolist() == [[3, 1]]


def test_heads_that_never_change_are_never_found() -> None:
    told = sign_flips(np.zeros((8, 2)), np.arange(8), seed=0)
    assert told is not None
    assert told.p.tolist() == told.corrected.tolist() == [1, 1]


def test_one_picture_asked_often_is_one_picture() -> None:
    changes = np.ones((30, 2))
    assert sign_flips(changes, np.repeat(np.arange(4), [27, 1, 1, 1]), seed=0) is None
    told = sign_flips(changes, np.repeat(np.arange(6), 5), seed=0)
    assert told is not None
    assert told.p.tolist() == [1 / 32, 1 / 32]


def test_halves_share_no_picture() -> None:
    groups = np.repeat(np.arange(7), 3)
    first, second = split_groups(groups, seed=0)
    assert sorted([*first, *second]) == list(range(21))
    assert not set(groups[first]) & set(groups[second])
    assert (len(first), len(second)) == (9, 12)
