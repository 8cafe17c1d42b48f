"""A linear classifier on standardised features: scikit-learn's logistic regression by L-BFGS, over a few strengths."""

from functools import partial

import numpy as np
from jaxtyping import Float32, Int64
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

STRENGTHS = (0.03, 0.3, 3.0)
"""Inverse regularisation (scikit-learn's C)."""


def predict(
    train: Float32[np.ndarray, "n D"],
    labels: Int64[np.ndarray, " n"],
    test: Float32[np.ndarray, "m D"],
    strength: float,
) -> Int64[np.ndarray, " m"]:
    """Classes of the test part."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=600, tol=1e-3))
    return model.fit(train, labels).predict(test)


VARIANTS = {f"C={c:g}": partial(predict, strength=c) for c in STRENGTHS}
