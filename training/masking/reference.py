"""The published sampler, as it draws, for comparison and for reproducing its results. Written from a description of it.

Its defects are part of it: one random number decides area and aspect of a step's blocks, no block reaches the last row or
column, the context keeps the first patches in raster order and as few as the poorest image of the batch has, and where an
image finds no context it may overlap targets.
"""

import math
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool, Int64
from pydantic import Field

from models.errors import ConfigError
from models.images.grid import BlockShape, ids_of, rectangles
from models.rng import Stream, uniforms
from training.families import MemberSettings
from training.fields import Count, Ratios, Shares
from training.masking.base import Masks

MAX_TRIES = 20
"""Positions of the context block that are tried before one target less is kept out of it."""


class ReferenceSettings(MemberSettings):
    """The published configuration's. Blocks of at most `min_keep` patches are drawn again."""

    name: Literal["reference"] = "reference"
    targets: Count = 4
    target_scale: Shares = (0.15, 0.2)
    target_aspect: Ratios = (0.75, 1.5)
    context_scale: Shares = (0.85, 1.0)
    min_keep: Annotated[int, Field(ge=0)] = 10


class Reference:
    """Faithful in distribution, not in its random numbers."""

    settings = ReferenceSettings

    def __init__(self, config: ReferenceSettings, grid: tuple[int, int], seed: int) -> None:
        self.config, self.grid, self.seed = config, grid, seed
        self._check_terminates()

    def draw(self, step: int, epoch: int, samples: Int64[np.ndarray, " B"]) -> Masks:
        """See `Masking.draw`. T is a function of the step; K depends on the whole batch."""
        r = uniforms(self.seed, Stream.SHAPE, step, n=2)
        target, context = self.target_shape(r[0]), self.context_shape(r[1])
        u = uniforms(self.seed, Stream.BLOCKS, epoch, samples, n=2 * self.config.targets).reshape(len(samples), -1, 2)
        blocks = self._place(target, u)
        allowed = np.zeros((len(samples), *self.grid), dtype=bool)
        pending = np.arange(len(samples))
        for attempt in range(MAX_TRIES * (self.config.targets + 1)):
            kept_out = blocks[pending, : self.config.targets - attempt // MAX_TRIES].any(axis=1)
            position = uniforms(self.seed, Stream.CONTEXT, epoch, samples[pending], attempt, n=2)
            allowed[pending] = self._place(context, position) & ~kept_out
            pending = pending[allowed[pending].sum(axis=(1, 2)) <= self.config.min_keep]
            if not len(pending):
                break
        assert not len(pending), "a context block without targets kept out of it is always large enough"
        flat = allowed.reshape(len(samples), -1)
        shortest = int(flat.sum(axis=1).min())
        first = np.argsort(~flat, axis=1, kind="stable")[:, :shortest]
        return Masks(first, ids_of(blocks.reshape(*blocks.shape[:2], -1), target.height * target.width))

    def target_shape(self, r: float) -> BlockShape:
        """A step's target block: `r` in [0, 1) moves area and aspect together."""
        return self._shape(self.config.target_scale, self.config.target_aspect, r)

    def context_shape(self, r: float) -> BlockShape:
        """A step's context block, as high as wide."""
        return self._shape(self.config.context_scale, (1.0, 1.0), r)

    def _shape(self, scale: tuple[float, float], aspect: tuple[float, float], r: float) -> BlockShape:
        rows, columns = self.grid
        area = int(rows * columns * (scale[0] + r * (scale[1] - scale[0])))
        ratio = aspect[0] + r * (aspect[1] - aspect[0])
        height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        return BlockShape(min(height, rows - 1), min(width, columns - 1))

    def _place(self, shape: BlockShape, u: np.ndarray) -> Bool[np.ndarray, "*n gh gw"]:
        """Blocks at even positions of a grid that ends one row and one column early."""
        early = (self.grid[0] - 1, self.grid[1] - 1)
        sides = np.ones(u.shape[:-1], dtype=np.int64)
        placed = rectangles(early, shape.height * sides, shape.width * sides, u[..., 0], u[..., 1])
        return np.pad(placed, [(0, 0)] * (placed.ndim - 2) + [(0, 1), (0, 1)])

    def _check_terminates(self) -> None:
        """Blocks of at most `min_keep` patches are drawn again for ever by the published code.

        Raises:
            ConfigError: some draws of this setting are so.
        """
        draws = np.linspace(0, 1, 1000, endpoint=False)
        for what, shape_of in (("target", self.target_shape), ("context", self.context_shape)):
            smallest = min(shape.height * shape.width for shape in map(shape_of, draws))
            if smallest <= self.config.min_keep:
                rows, columns = self.grid
                raise ConfigError(
                    f"the published sampler would never end on a {rows}x{columns} grid: it draws {what} blocks of {smallest} "
                    f"patches and wants more than masking.min_keep={self.config.min_keep}; use a smaller min_keep, a finer "
                    "grid, or masking.name=multiblock"
                )
