"""Whitened poolings: a linear map after which the dimensions of a pooling are uncorrelated, with nearly equal variance.

A few directions hold most of the variance of an I-JEPA's poolings and dominate cosine similarity. Whitened, all directions
count equally: nearest neighbours improve by percentage points, and a linear classifier loses nothing (docs/experiments,
whitening). No labels are used.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64
from sklearn.covariance import empirical_covariance, shrunk_covariance

MAX_WHITENING_IMAGES = 20_000
"""A whitening is fitted on at most this many images."""
MIN_WHITENING_IMAGES = 100
"""Fewer images do not represent their kind."""
SHRINKAGE = 0.03
"""Share of the covariance that is replaced by a multiple of the identity.

With it no direction is amplified more than six times (1 / sqrt 0.03) as much as one of average variance, and neither are
rounding errors in it. A tenth of this would gain 0.3 points of k-NN accuracy (docs/experiments, whitening).
"""


class Whitening(NamedTuple):
    """Subtract the mean, multiply by the matrix."""

    mean: Float32[np.ndarray, " D"]
    matrix: Float32[np.ndarray, "D D"]

    def __call__(self, features: Float32[np.ndarray, "n D"]) -> Float32[np.ndarray, "n D"]:
        """Whitened features."""
        return (features - self.mean) @ self.matrix


def fit_whitening(features: Float32[np.ndarray, "n D"]) -> Whitening:
    """Fit the symmetric whitening, "ZCA" (Kessy, Lewin and Strimmer 2018): of all whitenings the closest to the identity.

    The covariance is shrunk, so n may be less than D. Features without variance are only centred.
    """
    exact = features.astype(np.float64)
    covariance = empirical_covariance(exact)
    if np.trace(covariance) <= 1e-12 * np.square(exact).sum(axis=1).mean():
        covariance = np.eye(len(covariance))
    values, vectors = np.linalg.eigh(shrunk_covariance(covariance, SHRINKAGE))
    matrix = (vectors * values**-0.5) @ vectors.T
    return Whitening(exact.mean(axis=0).astype(np.float32), matrix.astype(np.float32))


def sample_indices(images: int, limit: int = MAX_WHITENING_IMAGES) -> Int64[np.ndarray, " k"]:
    """Indices of at most `limit` images in a fixed random order."""
    return np.random.default_rng(0).permutation(images)[:limit]
