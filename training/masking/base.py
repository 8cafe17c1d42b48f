"""What a masking strategy is: anything with `draw`."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64


class Masks(NamedTuple):
    """Patch ids of one step, in ascending order within an image's context and within a block."""

    context: Int64[np.ndarray, "B K"]
    targets: Int64[np.ndarray, "B M T"]


@runtime_checkable
class Masking(Protocol):
    """A masking strategy over one grid."""

    def draw(self, step: int, epoch: int, samples: Int64[np.ndarray, " B"]) -> Masks:
        """The masks of one step. T and K depend on the step alone, positions on the epoch and the sample."""
        ...
