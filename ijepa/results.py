"""What the methods of `Model`, `Client` and `AsyncClient` return, besides arrays."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A region of an image that was hidden, predicted, and compared with what is there.

    `energy_per_patch` is the distance of the training between `predicted` and `actual`, the layer-normed tokens; `energy` is
    its mean, `cosine` the mean cosine. `z` and `z_per_patch` are energies in standard deviations above what the calibration
    of the bundle found usual at that place; None where it is not calibrated. `box` is around the patches: (x0, y0, x1, y1),
    0 to 1 of the image.
    """

    patches: Int64[np.ndarray, " T"]
    box: tuple[float, float, float, float]
    energy: float
    energy_per_patch: Float[np.ndarray, " T"]
    z: float | None
    z_per_patch: Float[np.ndarray, " T"] | None
    cosine: float
    predicted: Float32[np.ndarray, "T D"]
    actual: Float32[np.ndarray, "T D"]


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The targets of one image in the order asked for, all predicted from `context_patches`.

    Patch ids are row-major on `grid`, (rows, columns). `warnings` are sentences, for example of a target that the centre crop
    cut.
    """

    grid: tuple[int, int]
    context_patches: Int64[np.ndarray, " K"]
    targets: tuple[Target, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Energy:
    """How surprising each patch of an image is given the rest: its mean energy over the draws of blocks that hid it.

    `z` is in standard deviations above what the calibration of the bundle found usual; None where it is not calibrated.
    """

    energy: Float[np.ndarray, "gh gw"]
    mean: float
    masks: int
    seed: int
    z: Float[np.ndarray, "gh gw"] | None
