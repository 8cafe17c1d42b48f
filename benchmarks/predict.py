"""What prediction and energy cost beside an embedding: `python -m benchmarks.predict`.

On one image: an embedding, a prediction of one box (about a sixth of the patches), and an energy map of 8 draws. Printed are the
floating-point operations that each needs (products with weights, and attention; without padding), and the median milliseconds of
wall time and of the CPU, all also as shares of the embedding's. In the last columns the share of the time is divided by that of
the operations: 1.00 is a task that costs what it must. On a busy machine look at the CPU's, with `--threads 1`.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from models.bundle.reader import find_bundle, read_bundle
from models.config import ModelConfig
from models.inference.canonical import canonical_image
from models.inference.energy import draw_blocks, energy_maps
from models.inference.prediction import Regions, TargetSpace, predict_regions
from models.runtimes.select import open_runtime

DRAWS = 8
BOX_SHARE = 1 / 6


class Cost(NamedTuple):
    """Median milliseconds of a task."""

    wall: float
    cpu: float


def encoder_flop(config: ModelConfig, tokens: int) -> float:
    """Of the encoder over `tokens` patches of one image; all patches are projected."""
    encoder = config.encoder
    projection = 2 * encoder.patches * encoder.patch_size**2 * encoder.channels * encoder.width
    return projection + encoder.depth * _block_flop(encoder.width, encoder.hidden, tokens)


def predictor_flop(config: ModelConfig, context: int, target: int) -> float:
    """Of one target block."""
    predictor, width = config.predictor, config.encoder.width
    assert predictor is not None
    ends = 2 * width * predictor.width * (context + target)
    return ends + predictor.depth * _block_flop(predictor.width, 4 * predictor.width, context + target)


def regions_flop(config: ModelConfig, regions: Sequence[Regions]) -> float:
    """Of contexts and predictions, each context encoded once."""
    return sum(
        encoder_flop(config, len(each.context))
        + sum(predictor_flop(config, len(each.context), len(target)) for target in each.targets)
        for each in regions
    )


def central_box(grid: tuple[int, int]) -> Regions:
    """One block in the middle of the grid of about `BOX_SHARE` of its patches, and the rest as context."""
    block = np.zeros(grid, dtype=bool)
    height, width = (round(side * BOX_SHARE**0.5) for side in grid)
    top, left = (grid[0] - height) // 2, (grid[1] - width) // 2
    block[top : top + height, left : left + width] = True
    return Regions(np.flatnonzero(~block), [np.flatnonzero(block)])


def measure(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, Cost]:
    """All tasks in turn, so many rounds after a first one that is not counted."""
    times: dict[str, list[Cost]] = {name: [] for name in tasks}
    for _ in range(rounds + 1):
        for name, task in tasks.items():
            wall, cpu = time.perf_counter(), time.process_time()
            task()
            times[name].append(Cost(1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)))
    return {name: Cost(*map(statistics.median, zip(*costs[1:], strict=True))) for name, costs in times.items()}


def table(flop: dict[str, float], costs: dict[str, Cost]) -> str:
    """One line a task; shares are of the embedding."""
    lines = ["             GFLOP   share      ms   share  CPU ms   share  ms / FLOP  CPU ms / FLOP"]
    one, embedding = flop["embed"], costs["embed"]
    for name, cost in costs.items():
        share, wall, cpu = flop[name] / one, cost.wall / embedding.wall, cost.cpu / embedding.cpu
        lines.append(
            f"{name:<10}{flop[name] / 1e9:8.3f}{share:8.2f}{cost.wall:8.1f}{wall:8.2f}{cost.cpu:8.1f}{cpu:8.2f}"
            f"{wall / share:11.2f}{cpu / share:15.2f}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--bundle", default="fashion-mnist-nano")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args(arguments)
    bundle = read_bundle(find_bundle(args.bundle))
    manifest, config = bundle.manifest, bundle.manifest.model
    networks = open_runtime(args.runtime, bundle, args.threads, args.precision)
    box, draws = central_box(manifest.grid), draw_blocks(manifest.masking, manifest.grid, DRAWS, seed=0)
    pixels = canonical_image(*config.pixels.size, config.pixels.channels)[None]
    space, embedding = TargetSpace.of(manifest), encoder_flop(config, config.encoder.patches)
    tasks: dict[str, Callable[[], object]] = {
        "embed": lambda: networks.encode(pixels, [manifest.default_pooling]),
        "predict": lambda: predict_regions(networks, space, pixels, [box]),
        "energy": lambda: energy_maps(networks, manifest, pixels, draws),
    }
    flop = {
        "embed": embedding,
        "predict": embedding + regions_flop(config, [box]),
        "energy": embedding + regions_flop(config, draws),
    }
    print(
        f"{manifest.id} on {networks.name}, {networks.precision}; one box of {len(box.targets[0])} patches, {DRAWS} draws"
    )
    print(table(flop, measure(tasks, args.rounds)))


def _block_flop(width: int, hidden: int, tokens: int) -> float:
    """Of one transformer block: projections of attention and MLP, and the two products of attention."""
    return tokens * (8 * width**2 + 4 * width * hidden) + 4 * tokens**2 * width


if __name__ == "__main__":
    main()
