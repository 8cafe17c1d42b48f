"""Masking: which patches a step predicts, and from which it predicts them.

A strategy is anything with `draw`; `MASKINGS` is the table of them. Every strategy keeps four promises, and one test holds
all of them to each: dense arrays (one T and one K for all images of a step), no target patch in the context, every patch
reachable as both, and the same draw for the same (seed, step, epoch, sample).
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, Int64

from models.errors import ConfigError
from training.config import MaskingConfig
from training.counted import Purpose, uniforms

TRIES = 2000
"""Draws an image may take. Settings that would need more than a few are refused when the strategy is made."""

LEAST_ACCEPTANCE = 0.1
"""Least share of first draws that must leave enough context."""


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


class Block(NamedTuple):
    """Height and width of a target block in patches."""

    height: int
    width: int


class MultiBlock:
    """Several target blocks, and a large context block without them (paper section 3 and appendix A.1).

    Differs from the published sampler where that has defects: blocks reach every row and column, area and aspect are
    independent, each image draws its own block shape, and the context is a random subset of fixed size K of what the
    context block leaves instead of its first rows (docs/decisions.md).
    """

    def __init__(self, config: MaskingConfig, grid: tuple[int, int], seed: int) -> None:
        self.config, self.grid, self.seed = config, grid, seed
        self.shapes = block_shapes(grid, config.target_scale, config.target_aspect)
        self.context_sides = context_sides(grid, config.context_scale)
        self.context_patches = max(1, round(config.context_budget * grid[0] * grid[1]))
        self._refuse_impossible()

    def draw(self, step: int, epoch: int, samples: Int64[np.ndarray, " B"]) -> Masks:
        """See `Masking.draw`. An image whose blocks leave fewer than K patches is drawn again, all of it."""
        shapes = self._shapes_of_step(step)
        covered = np.empty((len(samples), self.config.targets, self.grid[0] * self.grid[1]), dtype=bool)
        allowed = np.empty((len(samples), covered.shape[2]), dtype=bool)
        pending = np.arange(len(samples))
        for attempt in range(TRIES):
            covered[pending], allowed[pending] = self._place(shapes, epoch, samples[pending], attempt)
            pending = pending[allowed[pending].sum(axis=1) < self.context_patches]
            if not len(pending):
                return Masks(self._subset(allowed, epoch, samples), _ids(covered, shapes[0].height * shapes[0].width))
        raise AssertionError(
            f"{len(pending)} images found no context in {TRIES} draws, though the setting was accepted"
        )

    def _shapes_of_step(self, step: int) -> list[Block]:
        """The block shapes of one step: all those with the area T that the step draws, in the proportion of the table."""
        areas = sorted(self.shapes)
        weights = np.cumsum([len(self.shapes[area]) for area in areas])
        pick = uniforms(self.seed, Purpose.SHAPE, step, n=1)[0] * weights[-1]
        return self.shapes[areas[int(np.searchsorted(weights, pick, side="right"))]]

    def _place(
        self, shapes: list[Block], epoch: int, samples: Int64[np.ndarray, " B"], attempt: int
    ) -> tuple[Bool[np.ndarray, "B M N"], Bool[np.ndarray, "B N"]]:
        """Target blocks of each image, and the patches that its context may use."""
        (rows, columns), m = self.grid, self.config.targets
        u = uniforms(self.seed, Purpose.BLOCKS, epoch, samples, attempt, n=4 + 2 * m)
        shape = np.array(shapes)[(u[:, 0] * len(shapes)).astype(int)]
        targets = rectangles(self.grid, shape[:, None, 0], shape[:, None, 1], u[:, 4 : 4 + m], u[:, 4 + m :])
        sides = self.context_sides[(u[:, 1] * len(self.context_sides)).astype(int)]
        context = rectangles(self.grid, sides[:, 0], sides[:, 1], u[:, 2], u[:, 3])
        allowed = context & ~targets.any(axis=1)
        return targets.reshape(len(samples), m, rows * columns), allowed.reshape(len(samples), rows * columns)

    def _subset(
        self, allowed: Bool[np.ndarray, "B N"], epoch: int, samples: Int64[np.ndarray, " B"]
    ) -> Int64[np.ndarray, "B K"]:
        """K random patches of the allowed ones."""
        keys = uniforms(self.seed, Purpose.CONTEXT, epoch, samples, n=allowed.shape[1])
        keys[~allowed] = 2.0
        chosen = np.argpartition(keys, self.context_patches - 1, axis=1)[:, : self.context_patches]
        return np.sort(chosen, axis=1)

    def _refuse_impossible(self) -> None:
        """Draw two thousand images of every block area once; refuse a budget that most of them cannot fill.

        Raises:
            ConfigError: naming the setting, what it gives and what would do.
        """
        samples, (rows, columns) = np.arange(2000), self.grid
        left = {area: self._place(shapes, 0, samples, 0)[1].sum(axis=1) for area, shapes in self.shapes.items()}
        acceptance, area = min((float((counts >= self.context_patches).mean()), area) for area, counts in left.items())
        if acceptance < LEAST_ACCEPTANCE:
            possible = max(1, min(int(np.median(counts)) for counts in left.values()))
            raise ConfigError(
                f"masking.context_budget={self.config.context_budget} asks for {self.context_patches} context patches, but "
                f"{self.config.targets} target blocks of {area} patches on a {rows}x{columns} grid leave that many in only "
                f"{acceptance:.1%} of draws; use at most {np.floor(100 * possible / (rows * columns)) / 100:.2f}, "
                "or fewer or smaller targets (masking.targets, masking.target_scale)"
            )


MASKINGS = {"multiblock": MultiBlock}


def make_masking(config: MaskingConfig, grid: tuple[int, int], seed: int) -> Masking:
    """The strategy that a configuration names, for one grid."""
    return MASKINGS[config.name](config, grid, seed)


def block_shapes(
    grid: tuple[int, int], scale: tuple[float, float], aspect: tuple[float, float]
) -> dict[int, list[Block]]:
    """Block shapes by their area T, each as often as areas and aspects (height over width) drawn evenly round to it.

    A shape wider or taller than the grid is cut to it. On an even lattice of 64 x 64 draws; small grids have few shapes.

    Raises:
        ConfigError: no block would leave a patch of the grid free.
    """
    rows, columns = grid
    areas, aspects = np.meshgrid(np.linspace(*scale, 64) * rows * columns, np.linspace(*aspect, 64))
    heights = np.clip(np.round(np.sqrt(areas * aspects)), 1, rows).astype(int)
    widths = np.clip(np.round(np.sqrt(areas / aspects)), 1, columns).astype(int)
    shapes: dict[int, list[Block]] = {}
    for height, width in zip(heights.flat, widths.flat, strict=True):
        if height * width < rows * columns:
            shapes.setdefault(int(height * width), []).append(Block(int(height), int(width)))
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


def _ids(covered: Bool[np.ndarray, "B M N"], area: int) -> Int64[np.ndarray, "B M T"]:
    """Ids of the set patches; every block has the same number of them."""
    return np.nonzero(covered)[2].reshape(*covered.shape[:2], area)
