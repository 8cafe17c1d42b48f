"""How surprising each patch of an image is given the rest: its mean energy over draws of blocks that hide it."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from models.bundle.manifest import BLOCK_MASKINGS, Manifest, Masking
from models.errors import ConfigError
from models.images.grid import BlockShape, block_shapes
from models.inference.prediction import MAX_ROWS, Regions, TargetSpace, layer_norm, predict_blocks
from models.runtimes.networks import Networks

MAX_TRIES = 1000
"""To lay the blocks of a draw so that they leave a patch."""


def draw_blocks(masking: Masking, grid: tuple[int, int], count: int, seed: int) -> list[Regions]:
    """`count` draws of blocks of the shapes that the network was trained with.

    The blocks of a draw are hidden together, each to be predicted on its own from all that none of them hides. The first
    block of a draw is laid over a patch that no draw before it has hidden, while there are such; all else is uniform.

    Raises:
        ConfigError: a network that was trained with other masks than blocks, or with blocks that leave no patch.
    """
    settings = masking.blocks
    if settings is None:
        raise ConfigError(
            f"the network was trained with masking {masking.name!r}; energies need one of {', '.join(BLOCK_MASKINGS)}"
        )
    by_area = block_shapes(grid, settings.target_scale, settings.target_aspect)
    shapes = [shape for some in by_area.values() for shape in some]
    random, hidden = np.random.default_rng(seed), np.zeros(grid, dtype=bool)
    draws = []
    for _ in range(count):
        for _ in range(MAX_TRIES):
            shape = shapes[random.integers(len(shapes))]
            free = np.argwhere(~hidden)
            aim = free[random.integers(len(free))] if len(free) else None
            blocks = [_block(grid, shape, random, aim if i == 0 else None) for i in range(settings.targets)]
            if not (covered := np.any(blocks, axis=0)).all():
                break
        else:
            raise ConfigError(
                f"{settings.targets} blocks of target_scale={list(settings.target_scale)} cover the whole {grid[0]}x{grid[1]} "
                "grid, which leaves nothing to predict them from; there are no energies"
            )
        hidden |= covered
        draws.append(Regions(np.flatnonzero(~covered), [np.flatnonzero(block) for block in blocks]))
    return draws


def energy_maps(
    networks: Networks,
    manifest: Manifest,
    pixels: UInt8[np.ndarray, "B H W C"],
    draws: Sequence[Regions],
    max_rows: int = MAX_ROWS,
    drawn: Callable[[int], object] = lambda _: None,
) -> Float64[np.ndarray, "B gh gw"]:
    """The energy of every patch: its mean over the draws that hid it, NaN where none did.

    Draws of all images share batches of at most `max_rows`. `drawn` is called with the number of draws of an image that are
    done since the last call.
    """
    space = TargetSpace.of(manifest)
    actual = layer_norm(networks.encode(pixels, ["tokens"])["tokens"], space.eps)
    total, times = np.zeros(actual.shape[:2]), np.zeros(actual.shape[:2])
    images = [image for _ in draws for image in range(len(pixels))]
    regions = [draw for draw in draws for _ in range(len(pixels))]
    left = [len(each.targets) for each in regions]
    for row, target, tokens in predict_blocks(networks, pixels, images, regions, max_rows):
        image, patches = images[row], regions[row].targets[target]
        total[image, patches] += space.distance(tokens - actual[image, patches])
        times[image, patches] += 1
        left[row] -= 1
        if not left[row]:
            drawn(1)
    with np.errstate(invalid="ignore"):
        return (total / times).reshape(-1, *manifest.grid)


def _block(
    grid: tuple[int, int], shape: BlockShape, random: np.random.Generator, aim: Int64[np.ndarray, "2"] | None
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
