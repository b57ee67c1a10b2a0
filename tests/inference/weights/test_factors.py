"""Singular values, ranks and angles from the factors, against the plain product that the code never forms."""

import numpy as np
import pytest

from inference.weights.factors import (
    Factors,
    effective_rank,
    frobenius,
    relate,
    singular_values,
    spaces,
    stable_rank,
)

SHAPES = [(13, 7, 3), (7, 13, 5), (5, 3, 11), (3, 5, 11), (11, 11, 11), (17, 13, 1), (1, 7, 2), (7, 1, 2), (1, 1, 1)]
"""outputs, inputs, rank; the rank also larger than one side and than both."""


def made(outputs: int, inputs: int, rank: int, *, seed: int = 0, scaling: float = -1.75) -> Factors:
    rng = np.random.default_rng(seed)
    return Factors(rng.standard_normal((outputs, rank)), rng.standard_normal((rank, inputs)), scaling)


def product(factors: Factors) -> np.ndarray:
    return np.asarray(factors.scaling * factors.up @ factors.down)


def plain_values(factors: Factors) -> np.ndarray:
    """Roots of the eigenvalues of dW^T dW, largest first."""
    change = product(factors)
    squares = np.linalg.eigvalsh(change.T @ change)[::-1]
    return np.asarray(np.sqrt(np.clip(squares, 0, None)))


@pytest.mark.parametrize(("outputs", "inputs", "rank"), SHAPES)
def test_singular_values_are_those_of_the_plain_product(outputs: int, inputs: int, rank: int) -> None:
    factors = made(outputs, inputs, rank)
    found = singular_values(factors)
    assert found.shape == (min(outputs, inputs, rank),)
    assert (np.diff(found) <= 0).all()
    np.testing.assert_allclose(found, plain_values(factors)[: found.size], atol=1e-6)
    assert frobenius(found) == pytest.approx(np.sqrt((product(factors) ** 2).sum()), rel=1e-12)
    assert found[0] == pytest.approx(np.linalg.norm(product(factors), 2), rel=1e-12)


def test_a_zero_factor_gives_zeros_and_no_space() -> None:
    factors = Factors(np.zeros((13, 3)), made(13, 7, 3).down, 2.0)
    values = singular_values(factors)
    assert np.array_equal(values, np.zeros(3))
    assert (frobenius(values), effective_rank(values), stable_rank(values)) == (0, 0, 0)
    assert (spaces(factors).outputs.shape, spaces(factors).inputs.shape) == ((13, 0), (7, 0))


def test_rank_one_is_one_direction_however_many_columns_repeat_it() -> None:
    up, down = np.arange(1.0, 14)[:, None], np.arange(1.0, 8)[None]
    factors = Factors(np.repeat(up, 5, 1), np.repeat(down, 5, 0), 0.5)
    values = singular_values(factors)
    assert effective_rank(values) == pytest.approx(1)
    assert stable_rank(values) == pytest.approx(1)
    assert spaces(factors).values.shape == (1,)


@pytest.mark.parametrize(
    ("values", "effective", "stable"),
    [
        ([2, 2, 2, 2, 2], 5, 5),
        ([3, 3, 0], 2, 2),
        ([1e-160, 1e-160], 2, 2),
        # p = 0.8, 0.2: exp(0.8 ln 1.25 + 0.2 ln 5) and 5 / 4
        ([2, 1], 1.6493848, 1.25),
        ([], 0, 0),
    ],
)
def test_ranks_by_hand(values: list[float], effective: float, stable: float) -> None:
    assert effective_rank(np.array(values)) == pytest.approx(effective)
    assert stable_rank(np.array(values)) == pytest.approx(stable)


@pytest.mark.parametrize(("outputs", "inputs", "rank"), SHAPES)
def test_spaces_make_the_change_again(outputs: int, inputs: int, rank: int) -> None:
    factors = made(outputs, inputs, rank)
    found = spaces(factors)
    for basis in (found.outputs, found.inputs):
        np.testing.assert_allclose(basis.T @ basis, np.eye(found.values.size), atol=1e-12)
    np.testing.assert_allclose(found.outputs * found.values @ found.inputs.T, product(factors), atol=1e-12)


def projection(columns: np.ndarray) -> np.ndarray:
    return np.asarray(columns @ np.linalg.pinv(columns))


def plain_cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Roots of the eigenvalues of P1 P2 P1, the projections onto the two column spaces: squared cosines, then zeros."""
    one, other = projection(first), projection(second)
    return np.asarray(np.sqrt(np.clip(np.linalg.eigvalsh(one @ other @ one)[::-1], 0, 1)))


@pytest.mark.parametrize(("outputs", "inputs", "rank", "other_rank"), [(13, 7, 3, 5), (7, 13, 2, 3), (5, 3, 11, 1)])
def test_angles_are_those_of_the_projections_onto_the_plain_products(
    outputs: int, inputs: int, rank: int, other_rank: int
) -> None:
    first, second = made(outputs, inputs, rank, seed=1), made(outputs, inputs, other_rank, seed=2, scaling=0.3)
    found = relate(spaces(first), spaces(second))
    one, other = product(first), product(second)
    angles = min(rank, other_rank, outputs, inputs)
    assert found.outputs.shape == found.inputs.shape == (angles,)
    np.testing.assert_allclose(found.outputs, plain_cosines(one, other)[:angles], atol=1e-6)
    np.testing.assert_allclose(found.inputs, plain_cosines(one.T, other.T)[:angles], atol=1e-6)
    expected = (one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other)
    assert found.alignment == pytest.approx(expected, abs=1e-12)


def test_a_change_lies_upon_itself_and_against_its_opposite() -> None:
    factors = made(13, 7, 3)
    opposite = Factors(factors.up, factors.down, -factors.scaling)
    for other, alignment in ((factors, 1.0), (opposite, -1.0)):
        found = relate(spaces(factors), spaces(other))
        assert found.outputs == pytest.approx([1, 1, 1])
        assert found.inputs == pytest.approx([1, 1, 1])
        assert found.alignment == pytest.approx(alignment)
        assert max(found.outputs.max(), found.inputs.max(), abs(found.alignment)) <= 1


def test_right_angles_and_a_plane_that_shares_a_line() -> None:
    axes = np.eye(7)
    flat = spaces(Factors(axes[:, :2], axes[:2], 1.0))
    shared = relate(flat, spaces(Factors(axes[:, 1:3], axes[3:5], 1.0)))
    assert shared.outputs == pytest.approx([1, 0])
    assert shared.inputs == pytest.approx([0, 0])
    assert shared.alignment == 0


def test_a_zero_change_has_no_angles() -> None:
    found = relate(spaces(made(13, 7, 3)), spaces(Factors(np.zeros((13, 2)), np.ones((2, 7)), 1.0)))
    assert (found.outputs.size, found.inputs.size, found.alignment) == (0, 0, 0)
