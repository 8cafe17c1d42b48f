"""Masking: which patches a step predicts, and from which it predicts them. `MASKINGS` is the table of strategies.

Every strategy keeps these promises, and one test holds all of them to each: dense arrays (one T and one K for all images of
a step), no target patch in the context, every patch reachable, and the same draw for the same (seed, step, epoch, sample).
`block` cannot have the middle as context; `reference` is exempt from all but the dense arrays: it draws as the published
code does.
"""

from collections.abc import Callable

from training.config import MaskingConfig
from training.masking.base import Masking, Masks
from training.masking.multiblock import MultiBlock
from training.masking.reference import Reference
from training.masking.simple import Block, Random, Rasterized

__all__ = ["MASKINGS", "Masking", "Masks", "make_masking"]

MASKINGS: dict[str, Callable[[MaskingConfig, tuple[int, int], int], Masking]] = {
    "multiblock": MultiBlock,
    "reference": Reference,
    "rasterized": Rasterized,
    "block": Block,
    "random": Random,
}


def make_masking(config: MaskingConfig, grid: tuple[int, int], seed: int) -> Masking:
    """The strategy that a configuration names, for one grid.

    Raises:
        ConfigError: the strategy cannot be had with these settings on this grid.
    """
    return MASKINGS[config.name](config, grid, seed)
