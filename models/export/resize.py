"""A checkpoint for images of another size or shape: the same weights with positions for another grid of patches."""

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from models.checkpoint.store import Checkpoint
from models.config import patch_grid
from models.errors import ConfigError
from models.network.encoder import sincos_positions

Grid = tuple[int, int]
MIN_PATCHES = 4
"""Patches of the smallest grid on which some can be context and others targets."""


def resize_checkpoint(checkpoint: Checkpoint, size: tuple[int, int]) -> Checkpoint:
    """The network for images of `size` (height, width), with the same patch size.

    Raises:
        ConfigError: a size that is not divisible by the patch size, or too few patches.
    """
    encoder, pixels = checkpoint.config.encoder, checkpoint.config.pixels
    grid = patch_grid(size, encoder.patch_size)
    if grid[0] * grid[1] < MIN_PATCHES:
        raise ConfigError(
            f"images of {size[0]}x{size[1]} pixels have {grid[0] * grid[1]} patches, expected at least {MIN_PATCHES}"
        )
    config = checkpoint.config.model_copy(
        update={
            "encoder": encoder.model_copy(update={"grid": grid}),
            "pixels": pixels.model_copy(update={"size": size}),
        }
    )
    tensors = {
        name: resize_positions(tensor, encoder.grid, grid) if name.endswith(".pos_embed") else tensor
        for name, tensor in checkpoint.tensors.items()
    }
    return checkpoint._replace(config=config, tensors=tensors)


def resize_positions(table: Float32[Tensor, "1 N d"], trained: Grid, grid: Grid) -> Float32[Tensor, "1 n d"]:
    """Positions for another grid: the published formula evaluated at the new patch centres; a learned table is interpolated."""
    width = table.shape[-1]
    if np.abs(table[0].numpy() - sincos_positions(trained, width)).max() < 1e-4:
        return torch.from_numpy(sincos_positions(grid, width, trained))[None]
    square = table.reshape(1, *trained, width).permute(0, 3, 1, 2)
    resized = F.interpolate(square, size=grid, mode="bicubic", align_corners=False, antialias=min(grid) < min(trained))
    return resized.permute(0, 2, 3, 1).reshape(1, -1, width)
