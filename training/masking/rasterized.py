"""Quadrants (paper, Table 6). The paper names the strategy in words; the geometry here is our reading of them."""

from typing import Literal

import numpy as np
from jaxtyping import Int64

from models.errors import ConfigError
from models.rng import Stream, uniforms
from training.families import MemberSettings
from training.masking.base import Masks


class RasterizedSettings(MemberSettings):
    """It has none."""

    name: Literal["rasterized"] = "rasterized"


class Rasterized:
    """One quadrant is the context, each of the three others a target.

    On an odd grid the middle row (column) lies in neither half; which row is left over is drawn for each image, the first
    or the last, so that all are reached.
    """

    settings = RasterizedSettings

    def __init__(self, config: RasterizedSettings, grid: tuple[int, int], seed: int) -> None:
        self.config, self.grid, self.seed = config, grid, seed
        self.context_patches = (grid[0] // 2) * (grid[1] // 2)
        if not self.context_patches:
            raise ConfigError(f"masking.name=rasterized needs at least 2x2 patches, the grid has {grid[0]}x{grid[1]}")

    def draw(self, step: int, epoch: int, samples: Int64[np.ndarray, " B"]) -> Masks:  # noqa: ARG002
        """See `Masking.draw`. T and K are the same in every step."""
        (rows, columns), b = self.grid, len(samples)
        u = uniforms(self.seed, Stream.BLOCKS, epoch, samples, n=3)
        top = np.floor(u[:, 1] * (rows % 2 + 1)).astype(np.int64)
        left = np.floor(u[:, 2] * (columns % 2 + 1)).astype(np.int64)
        row, column = np.indices((rows // 2, columns // 2))
        quadrants = np.stack(
            [
                (row + top[:, None, None] + i * (rows // 2)) * columns
                + column
                + left[:, None, None]
                + j * (columns // 2)
                for i in range(2)
                for j in range(2)
            ],
            axis=1,
        ).reshape(b, 4, -1)
        context = np.floor(u[:, 0] * 4).astype(np.int64)
        others = (context[:, None] + np.arange(1, 4)) % 4
        return Masks(quadrants[np.arange(b), context], np.take_along_axis(quadrants, others[..., None], axis=1))
