"""What a masking strategy is.

All keep these promises, which one test checks for each: dense arrays (one T and one K for all images of a step), no target
patch in the context, every patch reachable, and the same draw for the same (seed, step, epoch, sample). `block` never has
the middle as context. `reference` promises dense arrays only: it draws as the published code does.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

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


@runtime_checkable
class MaskingType(Protocol):
    """A line of the table: a class with its settings' class, made from settings, grid (rows, columns) and seed.

    Raises:
        ConfigError: the settings cannot be met on the grid.
    """

    settings: type[Any]

    def __call__(self, config: Any, grid: tuple[int, int], seed: int) -> Masking: ...
