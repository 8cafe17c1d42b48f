"""One large block (paper, Table 6). The paper names the strategy in words; the geometry here is our reading of them."""

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field

from models.images.grid import block_shapes
from training.families import MemberSettings
from training.fields import Ratios
from training.masking.base import Masks
from training.masking.multiblock import MultiBlock, MultiBlockSettings


class BlockSettings(MemberSettings):
    """`hidden` is the block's share of the grid; `target_aspect` its height over width."""

    name: Literal["block"] = "block"
    hidden: Annotated[float, Field(gt=0, lt=1)] = 0.6
    target_aspect: Ratios = (0.75, 1.5)


class Block:
    """One block over `hidden` of the grid is the target; the context is as much of the rest as the largest block leaves."""

    settings = BlockSettings

    def __init__(self, config: BlockSettings, grid: tuple[int, int], seed: int) -> None:
        scale = (config.hidden, config.hidden)
        patches = grid[0] * grid[1]
        left = patches - max(block_shapes(grid, scale, config.target_aspect))
        as_multiblock = MultiBlockSettings.model_construct(
            targets=1,
            target_scale=scale,
            target_aspect=config.target_aspect,
            context_scale=(1.0, 1.0),
            context_budget=left / patches,
        )
        self._multiblock = MultiBlock(as_multiblock, grid, seed)
        self.context_patches = self._multiblock.context_patches

    def draw(self, step: int, epoch: int, samples: Int64[np.ndarray, " B"]) -> Masks:
        """See `Masking.draw`."""
        return self._multiblock.draw(step, epoch, samples)
