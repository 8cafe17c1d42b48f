"""int8 weights of a matrix product by GPTQ (Frantar et al. 2023, arXiv 2210.17323), with bias correction.

The rounding error of a weight is the same at every token of every image, so it does not average out in a pooling, as the
rounding errors of activations do. GPTQ rounds one input after the other and corrects the weights of those that follow, so that
the product changes least for inputs with a given covariance. The mean input times the weight error goes into the bias, and the
covariance is therefore centred.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int8
from scipy.linalg import solve_triangular

MAX_INT8 = 127
"""Symmetric: -128 is not used."""
DAMPING = 0.01
"""Added to the diagonal of the covariance, as a share of its mean."""
BLOCK = 128
"""Inputs that are rounded before the correction is applied to all that follow them."""


class Moments:
    """Mean, covariance and range of the inputs of a product, over all tokens of all batches that were added."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.minimum, self.maximum = np.inf, -np.inf
        self._shift = np.zeros(width, np.float32)
        self._sum = np.zeros(width)
        self._products = np.zeros((width, width), np.float32)

    def add(self, inputs: Float32[np.ndarray, "... D"]) -> None:
        """Add a batch. Sums are of differences from the first batch's mean: a large mean costs no digits."""
        rows = inputs.reshape(-1, inputs.shape[-1])
        if not self.count:
            self._shift = rows.mean(axis=0)
        shifted = rows - self._shift
        self.count += len(rows)
        self.minimum, self.maximum = min(self.minimum, float(rows.min())), max(self.maximum, float(rows.max()))
        self._sum += shifted.sum(axis=0, dtype=np.float64)
        self._products += shifted.T @ shifted

    @property
    def mean(self) -> Float64[np.ndarray, " D"]:
        """The mean input."""
        mean: np.ndarray = self._shift + self._sum / self.count
        return mean

    @property
    def covariance(self) -> Float64[np.ndarray, "D D"]:
        """The covariance of the inputs."""
        offset = self._sum / self.count
        covariance: np.ndarray = self._products.astype(np.float64) / self.count
        covariance -= np.outer(offset, offset)
        return covariance


class Int8Weight(NamedTuple):
    """`integers * scale` in place of a weight; `correction` is added to the product or its bias."""

    integers: Int8[np.ndarray, "D E"]
    scale: Float32[np.ndarray, " E"]
    correction: Float32[np.ndarray, " E"]


def quantize_weight(weight: Float32[np.ndarray, "D E"], moments: Moments) -> Int8Weight:
    """Round the weight of `inputs @ weight` for inputs with these moments. Each of the E outputs has its own scale."""
    largest = np.abs(weight).max(axis=0)
    scale = (np.where(largest > 0, largest, 1) / MAX_INT8).astype(np.float32)
    integers = gptq(weight.astype(np.float64), scale.astype(np.float64), moments.covariance)
    error = weight - integers * scale.astype(np.float64)
    return Int8Weight(integers, scale, (moments.mean @ error).astype(np.float32))


def gptq(
    weight: Float64[np.ndarray, "D E"], scale: Float64[np.ndarray, " E"], covariance: Float64[np.ndarray, "D D"]
) -> Int8[np.ndarray, "D E"]:
    """The integers q for which q * scale is close to `weight` under the covariance of the inputs.

    Inputs of large variance are rounded first, as in the authors' option `act_order`.
    """
    variance = np.diag(covariance)
    order = np.argsort(-variance, kind="stable")
    damped = covariance[np.ix_(order, order)]
    damped[np.diag_indices_from(damped)] += DAMPING * variance.mean() or 1.0
    factor = _inverse_factor(damped)
    rest, integers = weight[order], np.empty(weight.shape, np.int8)
    for start in range(0, len(rest), BLOCK):
        stop = min(start + BLOCK, len(rest))
        errors = np.empty((stop - start, rest.shape[1]))
        for i in range(start, stop):
            rounded = np.clip(np.rint(rest[i] / scale), -MAX_INT8, MAX_INT8)
            integers[order[i]] = rounded
            errors[i - start] = (rest[i] - rounded * scale) / factor[i, i]
            rest[i:stop] -= np.outer(factor[i, i:stop], errors[i - start])
        rest[stop:] -= factor[start:stop, stop:].T @ errors
    return integers


def _inverse_factor(matrix: Float64[np.ndarray, "D D"]) -> Float64[np.ndarray, "D D"]:
    """The upper triangular R with R.T @ R = inverse of `matrix`: the inverse of U, where U @ U.T = `matrix`."""
    upper = np.linalg.cholesky(matrix[::-1, ::-1])[::-1, ::-1]
    inverse: np.ndarray = solve_triangular(upper, np.eye(len(matrix)), lower=False)
    return inverse
