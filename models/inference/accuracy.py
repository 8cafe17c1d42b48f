"""How far features are from those in float32: the mean-centred cosine."""

import numpy as np
from jaxtyping import Float


def centred_cosines(exact: Float[np.ndarray, "n D"], other: Float[np.ndarray, "n D"]) -> Float[np.ndarray, " n"]:
    """One cosine a row, after subtracting the mean of `exact` from both; NaN where a row is the mean.

    Features of different images share a large mean; without it the cosine would hide all that tells images apart.
    """
    centre = exact.mean(axis=0, dtype=np.float64)
    left, right = exact - centre, other - centre
    with np.errstate(invalid="ignore"):
        cosines: np.ndarray = (left * right).sum(axis=1) / (
            np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        )
    return cosines
