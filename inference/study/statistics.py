"""Means with their intervals, and which heads changed, over pictures. Plain numpy; every random number is seeded.

Lines about one picture are not independent: they are drawn, and their signs are flipped, together. `groups` tells for
each line which picture it is about, counted from 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from inference.study.report import FEWEST, Estimate

RESAMPLES = 2_000
FLIPS = 10_000
_BLOCK = 500
_EXACT_UP_TO = 14
"""Up to so many pictures all ways of flipping are tried: 2^13 of them, since all signs turned round give the same."""


@dataclass(frozen=True)
class SignFlips:
    """p of each head alone and corrected for all of them, from `flips` ways of flipping; exact: these are all."""

    p: Float[np.ndarray, "*axes"]
    corrected: Float[np.ndarray, "*axes"]
    flips: int
    exact: bool


def estimate(values: Float[np.ndarray, "lines"], groups: Int[np.ndarray, "lines"], *, seed: int) -> Estimate:
    """The mean over lines and its 95 % interval: percentiles of the means of pictures drawn with replacement.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13; drawn by picture.
    """
    values = np.asarray(values, np.float64)
    sums, counts = _by_group(values, groups), _by_group(np.ones_like(values), groups)
    low = high = None
    if len(sums) >= FEWEST:
        drawn = _drawn(len(sums), seed)
        low, high = (float(edge) for edge in np.percentile((drawn @ sums) / (drawn @ counts), (2.5, 97.5)))
    return Estimate(float(values.mean()), low, high, len(values))


def sign_flips(
    changes: Float[np.ndarray, "lines *axes"], groups: Int[np.ndarray, "lines"], *, seed: int
) -> SignFlips | None:
    """Whether each head's mean change differs from nothing; None under `FEWEST` pictures.

    Had the adapter done nothing, each picture's changes would be as likely with the other sign, all heads' together.
    The statistic is |sum over pictures| / sqrt(n * sum of squares), 0 to 1: what a t test orders by, so that loud
    heads do not drown quiet ones. corrected: how often the largest of all heads reaches a head's own, which keeps the
    chance of even one false head within 5 %, whatever heads have to do with one another.

    Source: Nichols and Holmes, "Nonparametric permutation tests for functional neuroimaging" (2002), section 3.
    """
    summed = _by_group(np.asarray(changes, np.float64).reshape(len(changes), -1), groups)
    count = len(summed)
    if count < FEWEST:
        return None
    size = np.sqrt(count * (summed**2).sum(0))
    scaled = np.divide(summed, size, out=np.zeros_like(summed), where=size > 0)
    # Sums of the same numbers in another order differ in their last bits.
    observed = np.abs(scaled.sum(0)) - 1e-9
    exact = count <= _EXACT_UP_TO
    above, above_all, flips = np.zeros_like(observed), np.zeros_like(observed), 0
    for signs in _signs(count, exact, seed):
        flipped = np.abs(signs @ scaled)
        above += (flipped >= observed).sum(0)
        # Sorted maxima: how many of them reach each head's statistic.
        largest = np.sort(flipped.max(1))
        above_all += len(largest) - np.searchsorted(largest, observed)
        flips += len(signs)
    axes = changes.shape[1:]
    return SignFlips((above / flips).reshape(axes), (above_all / flips).reshape(axes), flips, exact)


def split_groups(groups: Int[np.ndarray, "lines"], *, seed: int) -> tuple[Int[np.ndarray, "half"], ...]:
    """The lines of one half of the pictures, drawn at random, and those of the other."""
    names = np.unique(groups)
    first = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    return np.flatnonzero(np.isin(groups, first)), np.flatnonzero(~np.isin(groups, first))


@lru_cache(maxsize=2)
def _drawn(count: int, seed: int) -> Float[np.ndarray, "resamples pictures"]:
    """How often each picture is drawn; kept, since every figure of a set is drawn alike."""
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return drawn.astype(np.float64)


def _signs(count: int, exact: bool, seed: int) -> Iterator[Float[np.ndarray, "flips pictures"]]:
    """Blocks of rows of +1 and -1; the signs as they are come among them once."""
    if exact:
        for start in range(0, 2 ** (count - 1), _BLOCK):
            numbers = np.arange(start, min(start + _BLOCK, 2 ** (count - 1)))
            yield 1.0 - 2.0 * ((numbers[:, None] >> np.arange(count)) & 1)
        return
    rng = np.random.default_rng(seed)
    yield np.ones((1, count))
    for _ in range(FLIPS // _BLOCK):
        yield 1.0 - 2.0 * rng.integers(0, 2, (_BLOCK, count))


def _by_group(values: Float[np.ndarray, "lines *axes"], groups: Int[np.ndarray, "lines"]) -> np.ndarray:
    """The sum over each picture's lines, picture by picture."""
    _, place = np.unique(groups, return_inverse=True)
    sums = np.zeros((int(place.max(initial=-1)) + 1, *values.shape[1:]))
    np.add.at(sums, place, values)
    return sums
