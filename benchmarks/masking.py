"""The paper's Table 6 on small images: masking strategies at equal compute, several seeds.

    .venv/bin/python -m benchmarks.masking --out runs/masking

Every run has the same budget of floating-point operations, counted by torch over the strategy's own masks, so a strategy with
cheaper steps takes more of them. All else is the same for all: the network `pico` and `SETTINGS`. Classifiers are fitted on
features of one part of the training images and read on another; the test images are not touched. A run that is done is not
repeated: the same command goes on where it was stopped. About five minutes a run on one core.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.bundle.manifest import Distance
from models.images.sources.idx import Arrays
from models.images.sources.table import open_source
from models.inference.prediction import TargetSpace
from models.io import atomic_write
from models.network.ijepa import IJEPA
from models.terminal import progress_bars
from training.config import RunConfig, override
from training.evaluation import knn, linear
from training.evaluation.base import Predict, held_out
from training.evaluation.features import encode_all
from training.evaluation.networks import of_model
from training.persistence import find_resume
from training.recipes import RECIPES
from training.trainer import Trainer

PAPER = {"multiblock": 54.2, "random": 17.6, "block": 20.2, "rasterized": 15.5}
"""Table 6: top-1 of a linear probe on 1 % of ImageNet, ViT-B/16, 300 epochs."""
BLOCKS = ["masking.target_scale=[0.15,0.2]"]
STRATEGIES = {
    "multiblock": [*BLOCKS, "masking.context_budget=0.35"],
    "reference": [*BLOCKS, "masking.min_keep=4"],  # the published 10 would never end on this grid
    "rasterized": [],
    "block": [],
    "random": [],
}
"""Strategies of the training, and settings of their own."""
CLASSIFIERS: dict[str, tuple[Predict, float]] = {"knn": (knn.predict, 20), "linear": (linear.predict, 0.1)}
"""What reads the features, with a fixed choice."""
SETTINGS = [
    "network.size=pico",
    "data.crop_scale=[0.4,1.0]",
    "optim.batch_size=32",
    "optim.lr=1e-3",
    "optim.weight_decay=0.05",
    "optim.final_weight_decay=0.05",
    "optim.ema=0.996",
    "run.compile=false",
    "run.tensorboard=false",
    "run.keep=1",
]
"""On top of the recipe `fashion-mnist`, and written out so that a better recipe does not change this comparison."""
WARMUP = 0.05
"""Share of a run's steps."""
PROBED = 30_000
"""Images of train that probes use: five in six to fit, the rest to read."""
RESULTS = Path(__file__).parent / "results"
DIFFERENCES = """What differs from the paper: the images (28x28 grey clothes), the grid (7x7, where the published sampler needs
`min_keep=4`: with its 10 it would never end), a run of minutes instead of 300 epochs, the compute made equal instead of the
epochs, the same optimiser settings for all (chosen with multiblock), probes with all labels. `multiblock` is this project's
sampler, `reference` the published one in distribution. The paper names the other strategies in words; their geometry here is
our reading. `untrained` is the network before its first step. What we make of it:
[the experiment](../../docs/experiments/2026-11-22-masking-strategies-on-a-small-grid.md)."""


def main() -> None:
    """Run what is not done yet, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the runs are kept")
    parser.add_argument("--page", type=Path, default=RESULTS / "masking-fashion-mnist.md")
    parser.add_argument("--seeds", type=int, choices=range(1, 100), metavar="N", default=3)
    parser.add_argument("--steps", type=int, default=6000, help="of multiblock, in batches of 32: the budget")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    args.page.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    common = [*SETTINGS, f"run.threads={args.threads}"]
    configs = {
        name: override(RECIPES["fashion-mnist"](), [*common, f"masking.name={name}", *settings])
        for name, settings in STRATEGIES.items()
    }
    cost = {name: gflop_per_step(config) for name, config in configs.items()}
    rows = []
    for seed in range(args.seeds):
        rows.append(one_run("untrained", seed, 0, configs["multiblock"], args.out / f"untrained-{seed}"))
        for name, config in configs.items():
            steps = round(args.steps * cost["multiblock"] / cost[name])
            rows.append(one_run(name, seed, steps, config, args.out / f"{name}-{seed}-{steps}"))
            print(json.dumps({k: v for k, v in rows[-1].items() if k != "settings"}), file=sys.stderr)
    atomic_write(args.page, page(rows, cost, args.steps))
    print(args.page)


def gflop_per_step(config: RunConfig, draws: int = 24) -> float:
    """Floating-point operations of one step (forward, backward), the mean over masks of as many steps spread over a run."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, Path(folder))
        total = 0.0
        for step in range(0, draws * 50, 50):
            batch = next(trainer.batches.stream(step, step + 1, 1))
            trainer.step = step
            with FlopCounterMode(display=False) as counter:
                trainer.take_step(batch)
            total += counter.get_total_flops()
    return total / draws / 1e9


def one_run(name: str, seed: int, steps: int, config: RunConfig, out: Path) -> dict[str, Any]:
    """Train and probe, or read what an earlier call with the same settings found."""
    epochs = max(steps, 1) * config.optim.batch_size / 60_000
    config = override(config, [f"seed={seed}", f"optim.epochs={epochs}", f"optim.warmup={WARMUP * epochs}"])
    result, settings = out / "result.json", {**config.saved_half(), "probed": PROBED}
    row: dict[str, Any] = json.loads(result.read_text()) if result.exists() else {}
    if row.get("settings") == settings:
        return row
    row = {
        "strategy": name,
        "seed": seed,
        "steps": steps,
        "images_per_s": None,
        "rankme": None,
        "explained_variance": None,
    }
    trainer = Trainer(config, out, find_resume("auto", out))
    if trainer.step < steps:
        first, started = trainer.step, time.perf_counter()
        trainer.run()
        row["images_per_s"] = (trainer.step - first) * config.optim.batch_size / (time.perf_counter() - started)
    if steps:
        names, *_, last = (out / "log.csv").read_text().splitlines()
        log = dict(zip(names.split(","), map(float, last.split(",")), strict=True))
        row |= {key: log[key] for key in ("rankme", "explained_variance")}
    row |= {**probe(trainer.model), "settings": settings}
    atomic_write(result, json.dumps(row))
    return row


def probe(model: IJEPA) -> dict[str, float]:
    """Accuracy in per cent on held-out training images."""
    train = open_source("fashion-mnist:train", progress=progress_bars)
    assert isinstance(train, Arrays)
    assert train.labels is not None
    few = Arrays(train.pixels[:PROBED], None, (), "some images of Fashion-MNIST", "fashion-mnist:train")
    network = of_model(model, TargetSpace(Distance(name="smooth_l1")), "")
    pooled = encode_all(network, few, "features", progress_bars)
    labels, hidden = train.labels[:PROBED], held_out(PROBED)
    scores = {}
    for pooling, features in pooled.items():
        for method, (predict, choice) in CLASSIFIERS.items():
            (guess,) = predict(features[~hidden], labels[~hidden], features[hidden], (choice,))
            scores[f"{method}, {pooling}"] = 100 * float((guess == labels[hidden]).mean())
    return scores


def page(rows: list[dict[str, Any]], cost: dict[str, float], budget: int) -> str:
    """The page: means with their spread, every run, and what differs from the paper."""
    measures = [key for key in rows[0] if "," in key]

    def values(name: str, key: str) -> list[float]:
        return [row[key] for row in rows if row["strategy"] == name]

    def spread(name: str, key: str) -> str:
        numbers = [number for number in values(name, key) if number is not None]
        if len(numbers) > 1:
            return f"{statistics.mean(numbers):.2f} ± {statistics.stdev(numbers):.2f}"
        return f"{numbers[0]:.2f}" if numbers else ""

    names = sorted(
        dict.fromkeys(row["strategy"] for row in rows), key=lambda n: -statistics.mean(values(n, "linear, last4"))
    )
    lines = [
        "# Masking strategies at equal compute",
        "",
        f"Fashion-MNIST, 7x7 patches, the recipe `fashion-mnist` with the network `pico`, {len(values(names[0], 'seed'))} seeds, "
        f"{budget * cost['multiblock'] / 1000:.1f} TFLOP a run ({budget:,} steps of 32 for multiblock). Accuracy in per cent on "
        f"{int(held_out(PROBED).sum()):,} training images, classifiers fitted on {int((~held_out(PROBED)).sum()):,} others; "
        "mean ± standard deviation over seeds. The last column is the paper's Table 6 (ViT-B/16, 300 epochs, linear, 1 % of ImageNet).",
        "",
        f"| strategy | GFLOP a step | steps | {' | '.join(measures)} | RankMe | explained variance | paper |",
        f"|{'---|' * (len(measures) + 6)}",
    ]
    for name in names:
        figures = [spread(name, key) for key in (*measures, "rankme", "explained_variance")]
        head = [name, f"{cost[name]:.2f}" if name in cost else "", f"{values(name, 'steps')[0]:,}"]
        lines.append(f"| {' | '.join([*head, *figures, str(PAPER.get(name, '-'))])} |")
    lines += [
        "",
        "Every run:",
        "",
        f"| strategy | seed | {' | '.join(measures)} | images/s |",
        f"|{'---|' * (len(measures) + 3)}",
    ]
    for row in rows:
        speed = f"{row['images_per_s']:.0f}" if row["images_per_s"] else ""
        figures = [*(f"{row[key]:.2f}" for key in measures), speed]
        lines.append(f"| {' | '.join([row['strategy'], str(row['seed']), *figures])} |")
    command = f"`python -m benchmarks.masking --out DIR --seeds {len(values(names[0], 'seed'))} --steps {budget}`"
    return "\n".join([*lines, "", DIFFERENCES, "", f"{command}, torch {torch.__version__}, {hardware()}.", ""])


def hardware() -> str:
    """The processor and how many threads computed."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{model}, {torch.get_num_threads()} thread"


if __name__ == "__main__":
    main()
