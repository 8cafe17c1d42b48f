"""The table of masking strategies."""

from training.families import MemberSettings
from training.masking.base import Masking, MaskingType
from training.masking.block import Block
from training.masking.multiblock import MultiBlock
from training.masking.random import Random
from training.masking.rasterized import Rasterized
from training.masking.reference import Reference

MASKINGS: dict[str, MaskingType] = {
    "multiblock": MultiBlock,
    "reference": Reference,
    "rasterized": Rasterized,
    "block": Block,
    "random": Random,
}


def make_masking(config: MemberSettings, grid: tuple[int, int], seed: int) -> Masking:
    """The strategy that the settings belong to, for one grid.

    Raises:
        ConfigError: the settings cannot be met on this grid.
    """
    return MASKINGS[config.name](config, grid, seed)
