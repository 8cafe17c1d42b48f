"""The other strategies of the paper's Table 6. It names them in words; the geometry here is our reading of the words."""

import numpy as np
from jaxtyping import Int64

from models.blocks import block_shapes
from models.errors import ConfigError
from training.config import MaskingConfig
from training.counted import Purpose, uniforms
from training.masking.base import Masks
from training.masking.multiblock import MultiBlock


class Rasterized:
    """One quadrant is the context, each of the three others a target.

    On an odd grid the middle row (column) lies in neither half; which row is left over is drawn for each image, the first
    or the last, so that all are reached.
    """

    def __init__(self, config: MaskingConfig, grid: tuple[int, int], seed: int) -> None:
        self.config, self.grid, self.seed = config, grid, seed
        self.context_patches = (grid[0] // 2) * (grid[1] // 2)
        if not self.context_patches:
            raise ConfigError(f"masking.name=rasterized needs at least 2x2 patches, the grid has {grid[0]}x{grid[1]}")

    def draw(self, step: int, epoch: int, samples: Int64[np.ndarray, " B"]) -> Masks:  # noqa: ARG002
        """See `Masking.draw`. T and K are the same in every step."""
        (rows, columns), b = self.grid, len(samples)
        u = uniforms(self.seed, Purpose.BLOCKS, epoch, samples, n=3)
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


class Block(MultiBlock):
    """One block over `config.hidden` of the grid; the context is as much of the rest as the largest block leaves."""

    def __init__(self, config: MaskingConfig, grid: tuple[int, int], seed: int) -> None:
        scale = (config.hidden, config.hidden)
        left = grid[0] * grid[1] - max(block_shapes(grid, scale, config.target_aspect))
        settings = {
            "targets": 1,
            "target_scale": scale,
            "context_scale": (1.0, 1.0),
            "context_budget": left / (grid[0] * grid[1]),
        }
        super().__init__(config.model_copy(update=settings), grid, seed)


class Random:
    """`config.hidden` of the patches, scattered, are one target; the rest is the context."""

    def __init__(self, config: MaskingConfig, grid: tuple[int, int], seed: int) -> None:
        self.config, self.grid, self.seed = config, grid, seed
        patches = grid[0] * grid[1]
        self.hidden = min(patches - 1, max(1, round(config.hidden * patches)))
        self.context_patches = patches - self.hidden

    def draw(self, step: int, epoch: int, samples: Int64[np.ndarray, " B"]) -> Masks:  # noqa: ARG002
        """See `Masking.draw`. T and K are the same in every step."""
        keys = uniforms(self.seed, Purpose.BLOCKS, epoch, samples, n=self.grid[0] * self.grid[1])
        order = np.argsort(keys, axis=1)
        target, context = np.sort(order[:, : self.hidden], axis=1), np.sort(order[:, self.hidden :], axis=1)
        return Masks(context, target[:, None])
