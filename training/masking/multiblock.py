"""Multi-block masking (paper, section 3), without the published sampler's defects."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64

from models.errors import ConfigError
from models.images.grid import BlockShape, block_shapes, context_sides, ids_of, rectangles
from models.rng import Stream, uniforms
from training.families import MemberSettings
from training.fields import Count, Ratios, Share, Shares
from training.masking.base import Masks

MAX_DRAWS = 2000
"""Draws an image may take. Settings that would need more than a few are an error at construction."""

MIN_ACCEPTANCE = 0.1
"""Smallest share of first draws that must leave enough context."""


class MultiBlockSettings(MemberSettings):
    """The paper's defaults (appendix A.1). Scales are shares of the grid's patches, `target_aspect` is height over width,
    and `context_budget` is K as a share of the grid.
    """

    name: Literal["multiblock"] = "multiblock"
    targets: Count = 4
    target_scale: Shares = (0.15, 0.2)
    target_aspect: Ratios = (0.75, 1.5)
    context_scale: Shares = (0.85, 1.0)
    context_budget: Share = 0.3


class MultiBlock:
    """Several target blocks, and a large context block without them (paper section 3 and appendix A.1).

    Differs from the published sampler where that has defects: blocks reach every row and column, area and aspect are
    independent, each image draws its own block shape, and the context is a random subset of fixed size K of what the
    context block leaves instead of its first rows (docs/decisions/0022).
    """

    settings = MultiBlockSettings

    def __init__(self, config: MultiBlockSettings, grid: tuple[int, int], seed: int) -> None:
        self.config, self.grid, self.seed = config, grid, seed
        self.shapes = block_shapes(grid, config.target_scale, config.target_aspect)
        self.context_sides = context_sides(grid, config.context_scale)
        self.context_patches = max(1, round(config.context_budget * grid[0] * grid[1]))
        self._check_possible()

    def draw(self, step: int, epoch: int, samples: Int64[np.ndarray, " B"]) -> Masks:
        """See `Masking.draw`. An image whose blocks leave fewer than K patches is drawn again, all of it."""
        shapes = self._shapes_of_step(step)
        covered = np.empty((len(samples), self.config.targets, self.grid[0] * self.grid[1]), dtype=bool)
        allowed = np.empty((len(samples), covered.shape[2]), dtype=bool)
        pending = np.arange(len(samples))
        for attempt in range(MAX_DRAWS):
            covered[pending], allowed[pending] = self._place(shapes, epoch, samples[pending], attempt)
            pending = pending[allowed[pending].sum(axis=1) < self.context_patches]
            if not len(pending):
                return Masks(self._subset(allowed, epoch, samples), ids_of(covered, shapes[0].height * shapes[0].width))
        raise AssertionError(
            f"{len(pending)} images found no context in {MAX_DRAWS} draws, though the setting was accepted"
        )

    def _shapes_of_step(self, step: int) -> list[BlockShape]:
        """The block shapes of one step: all those with the area T that the step draws, in the proportion of the table."""
        areas = sorted(self.shapes)
        weights = np.cumsum([len(self.shapes[area]) for area in areas])
        pick = uniforms(self.seed, Stream.SHAPE, step, n=1)[0] * weights[-1]
        return self.shapes[areas[int(np.searchsorted(weights, pick, side="right"))]]

    def _place(
        self, shapes: list[BlockShape], epoch: int, samples: Int64[np.ndarray, " B"], attempt: int
    ) -> tuple[Bool[np.ndarray, "B M N"], Bool[np.ndarray, "B N"]]:
        """Target blocks of each image, and the patches that its context may use."""
        (rows, columns), m = self.grid, self.config.targets
        u = uniforms(self.seed, Stream.BLOCKS, epoch, samples, attempt, n=4 + 2 * m)
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
        keys = uniforms(self.seed, Stream.CONTEXT, epoch, samples, n=allowed.shape[1])
        keys[~allowed] = 2.0
        chosen = np.argpartition(keys, self.context_patches - 1, axis=1)[:, : self.context_patches]
        return np.sort(chosen, axis=1)

    def _check_possible(self) -> None:
        """Draw two thousand images of every block area once, to check that most leave enough context.

        Raises:
            ConfigError: they do not; the message has the largest budget that would.
        """
        samples, (rows, columns) = np.arange(2000), self.grid
        left = {area: self._place(shapes, 0, samples, 0)[1].sum(axis=1) for area, shapes in self.shapes.items()}
        acceptance, area = min((float((counts >= self.context_patches).mean()), area) for area, counts in left.items())
        if acceptance < MIN_ACCEPTANCE:
            possible = min(int(np.quantile(counts, 0.5)) for counts in left.values())
            budget = np.floor(100 * possible / (rows * columns)) / 100
            less = f"use at most {budget:.2f}, or " if round(budget * rows * columns) >= 1 else "use "
            raise ConfigError(
                f"masking.context_budget={self.config.context_budget} asks for {self.context_patches} context patches, but "
                f"{self.config.targets} target blocks of {area} patches on a {rows}x{columns} grid leave that many in only "
                f"{acceptance:.1%} of draws; {less}fewer or smaller targets (masking.targets, masking.target_scale)"
            )
