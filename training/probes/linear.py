"""A linear classifier on standardised features: scikit-learn's logistic regression by L-BFGS."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler


def predict(
    train: Float32[np.ndarray, "n D"],
    labels: Int64[np.ndarray, " n"],
    test: Float32[np.ndarray, "m D"],
    choices: Sequence[float],
) -> list[Int64[np.ndarray, " m"]]:
    """Classes of the test part for each inverse regularisation (scikit-learn's C), each fit going on from the one before."""
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    model = LogisticRegression(max_iter=600, tol=1e-3, warm_start=True)
    return [model.set_params(C=c).fit(train, labels).predict(test) for c in choices]
