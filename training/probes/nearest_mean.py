"""The class whose mean feature is nearest (Euclidean): the least that a classifier can do."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64
from sklearn.neighbors import NearestCentroid


def predict(
    train: Float32[np.ndarray, "n D"],
    labels: Int64[np.ndarray, " n"],
    test: Float32[np.ndarray, "m D"],
    choices: Sequence[float],
) -> list[Int64[np.ndarray, " m"]]:
    """Classes of the test part; there is nothing to choose, so each choice gives the same."""
    return [NearestCentroid().fit(train, labels).predict(test)] * len(choices)
