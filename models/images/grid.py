"""Regions of an image as patches of the grid, and back.

Boxes and masks are in the frame of the image as seen (after orientation), 0 to 1; the network sees a `View` of it. A patch
belongs to a region when the region covers any of it; an edge within a hundredth of a patch of a grid line counts as on it.
"""

import math
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from models.errors import BrokenImageError, ConfigError, RegionError
from models.images import decode
from models.images.preprocess import View

DecodeMask = Callable[[bytes], Bool[np.ndarray, "mh mw"]]
"""Decodes a mask from its PNG; see `decode.decode_mask`, which is one."""

SLACK = 0.01
"""Share of a patch by which an edge may miss a grid line and still be on it."""

ROUNDING = 1e-6
"""By how much a box may reach outside the image: what a client's arithmetic may add to 1."""

MASK_ROWS = 256
"""Rows of a mask that are compared with the grid at a time."""

MAX_PNG_CHUNKS = 1000
"""Parts of a PNG before its pixels."""


class Frame(NamedTuple):
    """How an image of `size` (width, height) lies under a grid of (rows, columns) that covers its `view`."""

    size: tuple[int, int]
    view: View
    grid: tuple[int, int]


class Region(NamedTuple):
    """Patches in ascending order, and whether part of the region lies outside what the network sees."""

    patches: Int64[np.ndarray, " T"]
    cut: bool


def from_patches(ids: Sequence[int], frame: Frame) -> Region:
    """Patch ids as a region.

    Raises:
        RegionError: no ids, or one that is not on the grid.
    """
    rows, columns = frame.grid
    if not ids:
        raise RegionError("no patches are listed; give at least one", "empty")
    wrong = [i for i in ids if not 0 <= i < rows * columns]
    if wrong:
        raise RegionError(
            f"patch {wrong[0]} is not on the {rows}x{columns} grid, whose ids are 0 to {rows * columns - 1}", "outside"
        )
    return Region(np.unique(np.asarray(ids, dtype=np.int64)), cut=False)


def from_box(box: Sequence[float], frame: Frame) -> Region:
    """A box `(x0, y0, x1, y1)` in shares of the image.

    Raises:
        RegionError: not four finite numbers, empty, outside the image, or wholly outside the view.
    """
    if len(box) != 4 or not all(math.isfinite(value) for value in box):
        raise RegionError(f"a box is four finite numbers [x0, y0, x1, y1], not {list(box)}", "malformed")
    x0, y0, x1, y1 = box
    if x1 <= x0 or y1 <= y0:
        raise RegionError(f"box {list(box)} is empty: x1 must be above x0 and y1 above y0", "empty")
    if min(x0, y0) < -ROUNDING or max(x1, y1) > 1 + ROUNDING:
        raise RegionError(f"box {list(box)} reaches outside the image, which is 0 to 1 both ways", "outside")
    (width, height), view, (rows, columns) = frame
    left, right, cut_x = _span(x0 * width, x1 * width, view.left, view.right, columns)
    top, bottom, cut_y = _span(y0 * height, y1 * height, view.top, view.bottom, rows)
    if right <= left or bottom <= top:
        raise RegionError(
            f"box {list(box)} is wholly cut away by the centre crop; fit=squash shows the whole image", "cut_away"
        )
    ids = np.arange(rows * columns).reshape(rows, columns)[top:bottom, left:right]
    return Region(ids.reshape(-1), cut_x or cut_y)


def from_mask(mask: Bool[np.ndarray, "mh mw"], frame: Frame) -> Region:
    """A mask of any size over the image's frame: each set cell is a box.

    Raises:
        RegionError: nothing set, or all of it outside the view.
    """
    if not mask.any():
        raise RegionError("the mask is empty; set at least one pixel of it", "empty")
    (width, height), view, (rows, columns) = frame
    in_rows, seen_rows = _cover(mask.shape[0], height, view.top, view.bottom, rows)
    in_columns, seen_columns = _cover(mask.shape[1], width, view.left, view.right, columns)
    weights = in_columns.astype(np.float32)
    hits = np.zeros((rows, columns), dtype=bool)
    for top in range(0, len(mask), MASK_ROWS):
        here = slice(top, top + MASK_ROWS)
        hits |= in_rows[here].T.astype(np.float32) @ (mask[here].astype(np.float32) @ weights) > 0
    if not hits.any():
        raise RegionError(
            "the mask is wholly cut away by the centre crop; fit=squash shows the whole image", "cut_away"
        )
    cut = bool(mask[~seen_rows].any() or mask[:, ~seen_columns].any())
    return Region(np.flatnonzero(hits).astype(np.int64), cut)


def mask_size(data: bytes) -> tuple[int, int]:
    """The largest width and height that a PNG's headers say; nothing is decoded. (0, 0) where there is none.

    Raises:
        BrokenImageError: more than `MAX_PNG_CHUNKS` parts before its pixels.
    """
    width = height = 0
    at = 8
    for _ in range(MAX_PNG_CHUNKS):
        if at + 8 > len(data):
            return width, height
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IDAT":
            return width, height
        if name == b"IHDR" and at + 16 <= len(data):
            size = struct.unpack_from(">II", data, at + 8)
            width, height = max(width, size[0]), max(height, size[1])
        at += 12 + length
    raise BrokenImageError(f"this PNG has more than {MAX_PNG_CHUNKS:,} parts before its pixels")


def box_of(patches: Int64[np.ndarray, " T"], frame: Frame) -> tuple[float, float, float, float]:
    """The smallest box around patches, in shares of the image."""
    (width, height), view, (rows, columns) = frame
    row, column = np.divmod(patches, columns)
    step_x, step_y = (view.right - view.left) / columns, (view.bottom - view.top) / rows
    return (
        (view.left + int(column.min()) * step_x) / width,
        (view.top + int(row.min()) * step_y) / height,
        (view.left + int(column.max() + 1) * step_x) / width,
        (view.top + int(row.max() + 1) * step_y) / height,
    )


def context_without(targets: Sequence[Region], context: Region | None, frame: Frame) -> Int64[np.ndarray, " K"]:
    """The patches that may be seen: those of `context`, else all, without any target's.

    Raises:
        RegionError: none is left.
    """
    every = np.arange(frame.grid[0] * frame.grid[1], dtype=np.int64)
    hidden = np.concatenate([target.patches for target in targets])
    left = np.setdiff1d(every if context is None else context.patches, hidden)
    if not len(left):
        raise RegionError(
            "the targets leave no patch as context to predict from; make them smaller, or widen the context",
            "no_context",
        )
    return left


def _span(low: float, high: float, start: float, end: float, count: int) -> tuple[int, int, bool]:
    """Cells `first` to `last` (not included) of `count` between `start` and `end` that low..high touches; whether it sticks out.

    Something in view so thin that it would vanish on a grid line lies in the cell of its middle.
    """
    cell = (end - start) / count
    first, last = (low - start) / cell, (high - start) / cell
    cut = first < -SLACK or last > count + SLACK
    left, right = math.floor(first + SLACK), math.ceil(last - SLACK)
    if right <= left:
        left = math.floor((first + last) / 2)
        right = left + 1
    return min(count, max(0, left)), max(0, min(count, right)), cut


def _cover(
    cells: int, extent: float, start: float, end: float, count: int
) -> tuple[Bool[np.ndarray, "cells count"], Bool[np.ndarray, " cells"]]:
    """`_span` of each mask cell along one axis: which grid cells it touches, and whether it lies wholly in view."""
    edges = np.arange(cells + 1) * extent / cells
    cell = (end - start) / count
    low, high = (edges[:-1, None] - start) / cell, (edges[1:, None] - start) / cell
    first, last = np.floor(low + SLACK), np.ceil(high - SLACK)
    thin = last <= first
    first = np.where(thin, np.floor((low + high) / 2), first)
    last = np.where(thin, first + 1, last)
    index = np.arange(count)
    in_view = (low >= -SLACK) & (high <= count + SLACK)
    return (index >= first) & (index < last), in_view[:, 0]


class BlockShape(NamedTuple):
    """Height and width of a target block in patches."""

    height: int
    width: int


def block_shapes(
    grid: tuple[int, int], scale: tuple[float, float], aspect: tuple[float, float]
) -> dict[int, list[BlockShape]]:
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
    shapes: dict[int, list[BlockShape]] = {}
    for height, width in zip(heights.flat, widths.flat, strict=True):
        if height * width < rows * columns:
            shapes.setdefault(int(height * width), []).append(BlockShape(int(height), int(width)))
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


class RegionSpec(NamedTuple):
    """A region as it was asked for, before the image is known: exactly one of a box, patch ids, or a mask (a PNG, or booleans)."""

    box: Sequence[float] | None = None
    patches: Sequence[int] | None = None
    mask: bytes | Bool[np.ndarray, "mh mw"] | None = None

    def on(self, frame: Frame, decode_mask: DecodeMask = decode.decode_mask) -> Region:
        """The region on an image's grid. A mask that is a PNG is decoded by `decode_mask`.

        Raises:
            RegionError: see `from_box`, `from_patches`, `from_mask`.
            ImageError: a mask that cannot be decoded.
        """
        if self.box is not None:
            return from_box(self.box, frame)
        if self.patches is not None:
            return from_patches(self.patches, frame)
        assert self.mask is not None, "a region has one of box, patches and mask"
        return from_mask(decode_mask(self.mask) if isinstance(self.mask, bytes) else self.mask, frame)
