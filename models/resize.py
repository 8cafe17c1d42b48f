"""A checkpoint for pictures of another size or shape: the same weights over another grid of patches."""

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from models.checkpoint import Checkpoint
from models.encoder import sincos_positions
from models.errors import ConfigError

Grid = tuple[int, int]
FEWEST = 4
"""Patches: some to see, some to hide."""


def resized(checkpoint: Checkpoint, size: tuple[int, int]) -> Checkpoint:
    """For pictures of `size` (height, width), in patches of the same size in pixels.

    Raises:
        ConfigError: no whole number of patches, or too few.
    """
    encoder, pixels = checkpoint.config.encoder, checkpoint.config.pixels
    patch = encoder.patch_size
    if size[0] % patch or size[1] % patch or min(size) < 1:
        raise ConfigError(f"pictures of {size[0]}x{size[1]} pixels are no whole number of {patch}x{patch} patches")
    grid = (size[0] // patch, size[1] // patch)
    if grid[0] * grid[1] < FEWEST:
        raise ConfigError(
            f"pictures of {size[0]}x{size[1]} pixels have {grid[0] * grid[1]} patches; a network needs {FEWEST}"
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
    """Positions for another grid. The published formula is evaluated at the new places; a table that learned is interpolated."""
    width = table.shape[-1]
    if np.abs(table[0].numpy() - sincos_positions(trained, width)).max() < 1e-4:
        return torch.from_numpy(sincos_positions(grid, width, trained))[None]
    square = table.reshape(1, *trained, width).permute(0, 3, 1, 2)
    resized = F.interpolate(square, size=grid, mode="bicubic", align_corners=False, antialias=min(grid) < min(trained))
    return resized.permute(0, 2, 3, 1).reshape(1, -1, width)
