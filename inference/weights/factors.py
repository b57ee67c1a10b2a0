"""What a low-rank change of one weight is like: how large, of what rank, and in which spaces it lives.

The change is dW = scaling * up @ down, of shape (outputs, inputs); that matrix is never formed. With up = Q R and
down^T = P S (QR), dW = Q (scaling * R S^T) P^T, so that its singular values are those of the small matrix between.
Knows no file and no adapter.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Factors:
    """A module's change as the adapter holds it; `up` is LoRA's B, `down` its A."""

    up: Float[np.ndarray, "outputs rank"]
    down: Float[np.ndarray, "rank inputs"]
    scaling: float


@dataclass(frozen=True, eq=False)
class Spaces:
    """A change as outputs * values @ inputs^T: what it writes and what it reads, in orthonormal columns.

    The values, none of them zero, are the singular values, largest first.
    """

    outputs: Float[np.ndarray, "outputs dims"]
    values: Float[np.ndarray, "dims"]
    inputs: Float[np.ndarray, "inputs dims"]


@dataclass(frozen=True, eq=False)
class Relation:
    """Cosines of the principal angles between two changes' outputs and inputs, largest first, and their alignment.

    `alignment`: cosine between the changes taken as long vectors, -1 (opposed) to 1 (alike); 0 if one is zero.
    """

    outputs: Float[np.ndarray, "angles"]
    inputs: Float[np.ndarray, "angles"]
    alignment: float


def singular_values(factors: Factors) -> Float[np.ndarray, "values"]:
    """All singular values of the change that the factors leave room for, min(rank, outputs, inputs), largest first."""
    upper, lower = (np.asarray(np.linalg.qr(side, mode="r")) for side in (factors.up, factors.down.T))
    return np.asarray(np.linalg.svd(factors.scaling * upper @ lower.T, compute_uv=False))


def spaces(factors: Factors) -> Spaces:
    """The column and the row space of the change; no columns where it is zero.

    A direction counts if its singular value is above rounding: the largest times eps times the longer side, as in
    numpy's `matrix_rank`.
    """
    left, upper = np.linalg.qr(factors.up)
    right, lower = np.linalg.qr(factors.down.T)
    write, values, read = np.linalg.svd(factors.scaling * upper @ lower.T, full_matrices=False)
    kept = values > values.max(initial=0.0) * np.finfo(float).eps * max(len(left), len(right))
    return Spaces(left @ write[:, kept], values[kept], right @ read[kept].T)


def relate(first: Spaces, second: Spaces) -> Relation:
    """How two changes of one weight lie to each other.

    As many angles as the smaller space has dimensions: 1 for a direction that both hold, 0 for one at right angles to
    all of the other.

    Source: Bjoerck and Golub, Numerical methods for computing angles between linear subspaces, 1973, theorem 1.
    """
    outputs, inputs = first.outputs.T @ second.outputs, first.inputs.T @ second.inputs
    sizes = frobenius(first.values) * frobenius(second.values)
    product = first.values @ (outputs * inputs) @ second.values
    return Relation(_cosines(outputs), _cosines(inputs), float(np.clip(product / sizes, -1, 1)) if sizes else 0.0)


def frobenius(values: Float[np.ndarray, "values"]) -> float:
    """Root of the sum of squares of all entries: the size of the change."""
    return float(np.sqrt(np.square(values).sum()))


def effective_rank(values: Float[np.ndarray, "values"]) -> float:
    """exp(-sum p ln p) with p = s^2 / sum s^2: how many directions carry the change, 1 to its rank; 0 if it is zero.

    Source: Roy and Vetterli, The effective rank, EUSIPCO 2007, section 2, who take p = s / sum s; here the squares, so
    that p is a direction's share of the squared Frobenius norm.
    """
    if not values.any():
        return 0.0
    shares = np.square(values / values.max())
    shares = shares[shares > 0] / shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def stable_rank(values: Float[np.ndarray, "values"]) -> float:
    """Squared Frobenius norm over squared spectral norm, 1 to the rank; 0 if the change is zero.

    Source: Rudelson and Vershynin, Sampling from large matrices, J. ACM 2007, section 1 (there: numerical rank).
    """
    return float(np.square(values / values.max()).sum()) if values.any() else 0.0


def _cosines(product: Float[np.ndarray, "dims others"]) -> Float[np.ndarray, "angles"]:
    """Singular values of the product of two orthonormal bases, which rounding may lift above 1."""
    return np.clip(np.linalg.svd(product, compute_uv=False), 0.0, 1.0)
