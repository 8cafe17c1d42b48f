"""Whitened poolings: linear maps that make a pooling's numbers uncorrelated and equally large over pictures of a kind.

A few directions hold most of what differs between poolings of an I-JEPA, and cosine hears little else. Whitened, every direction
counts alike: neighbours get better by points (docs/log.md), and a linear classifier can still read what it could. No labels are used.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64
from sklearn.covariance import empirical_covariance, shrunk_covariance

TO_WHITEN = 20_000
"""At most so many pictures are looked at."""
SHRINKAGE = 0.03
"""Share of the covariance that is made the same for all directions: none is enlarged more than six times (1 / sqrt 0.03) as much as
one of average variance, and with it what is only rounding. A tenth of it would gain .3 points of k-NN (docs/log.md)."""


class Whitening(NamedTuple):
    """Centre, then multiply."""

    mean: Float32[np.ndarray, " D"]
    matrix: Float32[np.ndarray, "D D"]

    def __call__(self, features: Float32[np.ndarray, "n D"]) -> Float32[np.ndarray, "n D"]:
        """The same pictures' whitened features."""
        return (features - self.mean) @ self.matrix


def fit_whitening(features: Float32[np.ndarray, "n D"]) -> Whitening:
    """The symmetric whitening, the nearest to no change (Kessy, Lewin and Strimmer 2018, "ZCA"), of these features.

    Their covariance is shrunk, so fewer pictures than numbers do. Features that are all the same are only centred.
    """
    exact = features.astype(np.float64)
    covariance = empirical_covariance(exact)
    if np.trace(covariance) <= 1e-12 * np.square(exact).sum(axis=1).mean():
        covariance = np.eye(len(covariance))
    values, vectors = np.linalg.eigh(shrunk_covariance(covariance, SHRINKAGE))
    matrix = (vectors * values**-0.5) @ vectors.T
    return Whitening(exact.mean(axis=0).astype(np.float32), matrix.astype(np.float32))


def drawn(pictures: int, most: int = TO_WHITEN) -> Int64[np.ndarray, " k"]:
    """Which of so many pictures are looked at, in a fixed random order."""
    return np.random.default_rng(0).permutation(pictures)[:most]
