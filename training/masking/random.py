"""Scattered patches (paper, Table 6). The paper names the strategy in words; the geometry here is our reading of them."""

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field

from models.rng import Stream, uniforms
from training.families import MemberSettings
from training.masking.base import Masks


class RandomSettings(MemberSettings):
    """`hidden` is the share of the patches that are predicted."""

    name: Literal["random"] = "random"
    hidden: Annotated[float, Field(gt=0, lt=1)] = 0.6


class Random:
    """`hidden` of the patches, scattered, are one target; the rest is the context."""

    settings = RandomSettings

    def __init__(self, config: RandomSettings, grid: tuple[int, int], seed: int) -> None:
        self.config, self.grid, self.seed = config, grid, seed
        patches = grid[0] * grid[1]
        self.hidden = min(patches - 1, max(1, round(config.hidden * patches)))
        self.context_patches = patches - self.hidden

    def draw(self, step: int, epoch: int, samples: Int64[np.ndarray, " B"]) -> Masks:  # noqa: ARG002
        """See `Masking.draw`. T and K are the same in every step."""
        keys = uniforms(self.seed, Stream.BLOCKS, epoch, samples, n=self.grid[0] * self.grid[1])
        order = np.argsort(keys, axis=1)
        target, context = np.sort(order[:, : self.hidden], axis=1), np.sort(order[:, self.hidden :], axis=1)
        return Masks(context, target[:, None])
