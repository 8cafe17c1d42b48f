"""Rectangles on the patch grid, drawn for a whole batch at once."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from models.errors import ConfigError


class Shape(NamedTuple):
    """Height and width of a target block in patches."""

    height: int
    width: int


def block_shapes(
    grid: tuple[int, int], scale: tuple[float, float], aspect: tuple[float, float]
) -> dict[int, list[Shape]]:
    """Block shapes by their area T, each as often as areas and aspects (height over width) drawn evenly round to it.

    A shape taller than the grid is cut to it and made wider, so that the area stays; likewise a wider one. On an even lattice
    of 64 x 64 draws; small grids have few shapes.

    Raises:
        ConfigError: no block would leave a patch of the grid free.
    """
    rows, columns = grid
    areas, aspects = np.meshgrid(np.linspace(*scale, 64) * rows * columns, np.linspace(*aspect, 64))
    heights, widths = np.round(np.sqrt(areas * aspects)), np.round(np.sqrt(areas / aspects))
    heights = np.where(widths > columns, np.round(areas / columns), heights)
    widths = np.where(heights > rows, np.round(areas / rows), widths)
    heights, widths = np.clip(heights, 1, rows).astype(int), np.clip(widths, 1, columns).astype(int)
    shapes: dict[int, list[Shape]] = {}
    for height, width in zip(heights.flat, widths.flat, strict=True):
        if height * width < rows * columns:
            shapes.setdefault(int(height * width), []).append(Shape(int(height), int(width)))
    if not shapes:
        raise ConfigError(
            f"masking.target_scale={list(scale)} gives blocks that fill the whole {rows}x{columns} grid; use less than 1"
        )
    return shapes


def context_sides(grid: tuple[int, int], scale: tuple[float, float]) -> Int64[np.ndarray, "n 2"]:
    """Heights and widths of context blocks with the grid's own aspect, as often as scales drawn evenly round to them."""
    factors = np.sqrt(np.linspace(*scale, 64))[:, None]
    return np.clip(np.round(factors * np.array(grid)), 1, grid).astype(np.int64)


def rectangles(
    grid: tuple[int, int],
    heights: Int64[np.ndarray, "*#n"],
    widths: Int64[np.ndarray, "*#n"],
    u: Float64[np.ndarray, "*#n"],
    v: Float64[np.ndarray, "*#n"],
) -> Bool[np.ndarray, "*n gh gw"]:
    """Filled rectangles; `u` and `v` in [0, 1) choose evenly among all places where one fits, the last row and column too."""
    top = np.floor(u * (grid[0] - heights + 1))[..., None]
    left = np.floor(v * (grid[1] - widths + 1))[..., None]
    row, column = np.arange(grid[0]), np.arange(grid[1])
    in_rows = (row >= top) & (row < top + np.asarray(heights)[..., None])
    in_columns = (column >= left) & (column < left + np.asarray(widths)[..., None])
    return in_rows[..., :, None] & in_columns[..., None, :]


def ids_of(covered: Bool[np.ndarray, "B M N"], area: int) -> Int64[np.ndarray, "B M T"]:
    """Ids of the set patches in ascending order; every block has the same number of them."""
    return np.nonzero(covered)[2].reshape(*covered.shape[:2], area)
