"""How surprising each patch of a picture is given the rest: the distance between what is predicted there and what is there."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from models.blocks import Shape, block_shapes
from models.bundle import Manifest
from models.errors import ConfigError
from models.session import Networks

TARGET_EPS = 1e-5
"""Of the layer norm without weights that gives the targets of the training."""

PAPER: dict[str, Any] = {"targets": 4, "target_scale": (0.15, 0.2), "target_aspect": (0.75, 1.5)}
"""Blocks of the paper (appendix A.1), for a bundle that does not say which it was trained with."""

WITH_BLOCKS = ("multiblock", "reference")
"""Maskings whose targets are such blocks."""


class Draw(NamedTuple):
    """Blocks that are hidden together, each to be predicted on its own from all that none of them hides."""

    context: Int64[np.ndarray, " K"]
    targets: tuple[Int64[np.ndarray, " T"], ...]


def draw_blocks(masking: Mapping[str, Any], grid: tuple[int, int], count: int, seed: int) -> list[Draw]:
    """`count` draws of blocks of the shapes that the network was trained with.

    The first block of a draw is laid over a patch that no draw before it has hidden, while there are such; all else is even.

    Raises:
        ConfigError: a network that was trained with other masks than blocks.
    """
    if masking.get("name", "multiblock") not in WITH_BLOCKS:
        raise ConfigError(
            f"the network was trained with masking {masking['name']!r}; energies need one of {', '.join(WITH_BLOCKS)}"
        )
    masking = PAPER | dict(masking)
    shapes = [
        shape
        for some in block_shapes(grid, masking["target_scale"], masking["target_aspect"]).values()
        for shape in some
    ]
    random, hidden = np.random.default_rng(seed), np.zeros(grid, dtype=bool)
    draws = []
    for _ in range(count):
        while True:
            shape = shapes[random.integers(len(shapes))]
            free = np.argwhere(~hidden)
            aim = free[random.integers(len(free))] if len(free) else None
            blocks = [_block(grid, shape, random, aim if i == 0 else None) for i in range(masking["targets"])]
            if not (covered := np.any(blocks, axis=0)).all():
                break
        hidden |= covered
        draws.append(Draw(np.flatnonzero(~covered), tuple(np.flatnonzero(block) for block in blocks)))
    return draws


def _block(
    grid: tuple[int, int], shape: Shape, random: np.random.Generator, aim: Int64[np.ndarray, "2"] | None
) -> np.ndarray:
    """One block at a random place, of all places, or of those that cover `aim`."""
    corner = []
    for axis, (side, cells) in enumerate(zip(shape, grid, strict=True)):
        low, high = 0, cells - side
        if aim is not None:
            low, high = max(low, int(aim[axis]) - side + 1), min(high, int(aim[axis]))
        corner.append(int(random.integers(low, high + 1)))
    block = np.zeros(grid, dtype=bool)
    block[corner[0] : corner[0] + shape.height, corner[1] : corner[1] + shape.width] = True
    return block


def energy_maps(
    networks: Networks, manifest: Manifest, pixels: UInt8[np.ndarray, "B H W C"], draws: Iterable[Draw]
) -> Float64[np.ndarray, "B gh gw"]:
    """The energy of every patch: its mean over the draws that hid it, NaN where none did."""
    tokens = networks.encode(pixels, ["tokens"])["tokens"]
    actual = layer_norm(tokens, manifest.target_normalisation["eps"])
    total, times = np.zeros(tokens.shape[:2]), np.zeros(tokens.shape[1])
    for context, targets in draws:
        ids = np.tile(context, (len(pixels), 1))
        context_tokens = networks.encode_context(pixels, ids)
        for block in targets:
            predicted = networks.predict(context_tokens, ids, np.tile(block, (len(pixels), 1)))
            total[:, block] += manifest.distance(predicted - actual[:, block])
            times[block] += 1
    with np.errstate(invalid="ignore"):
        return (total / times).reshape(-1, *manifest.grid)


def layer_norm(tokens: Float32[np.ndarray, "*n D"], eps: float) -> Float32[np.ndarray, "*n D"]:
    """Each token with mean 0 and variance 1: the space in which predictions are made."""
    centred = tokens - tokens.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + eps)
