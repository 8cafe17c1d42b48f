"""Train a network by a recipe, and continue where an earlier run in the same folder stopped.

Any setting of the recipe can be changed with section.field=value; --settings lists them with their values.
"""

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

from models.checkpoint.record import Origin
from models.checkpoint.store import RUN_LOG, Checkpoint, read_checkpoint
from models.errors import UsageError
from models.images.sources.table import SOURCES
from models.terminal import printable, progress_bars
from training.config import RunConfig, override, settings_of
from training.loggers.csv import read_rows
from training.monitors import collapse_warning
from training.persistence import find_resume, read_run
from training.recipes import RECIPES, configure
from training.signals import Preempted
from training.trainer import N_MONITOR_IMAGES, Trainer

PREEMPTED = 75


class Plan(NamedTuple):
    """What the arguments ask for."""

    config: RunConfig
    recipe: str
    out: Path
    resume: Path | None
    init: Checkpoint | Origin | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "recipe", metavar="RECIPE", nargs="?", help=f"{', '.join(RECIPES)}; not needed with --resume DIR"
    )
    parser.add_argument(
        "--data", metavar="URI", help=f"the images: a folder, or one of {', '.join(f'{name}:' for name in SOURCES)}"
    )
    parser.add_argument("--dataset-name", metavar="NAME", help="what model cards call the images (data.name)")
    parser.add_argument("--init", metavar="CHECKPOINT", help="start from the weights of a checkpoint, at step 0")
    parser.add_argument("--out", metavar="DIR", type=Path, help="the run's folder (runs/RECIPE)")
    parser.add_argument(
        "--resume",
        default="auto",
        metavar="auto|never|DIR",
        help="the run to continue (auto: the one in --out); with DIR alone, its own recipe, data and settings are used",
    )
    parser.add_argument("--settings", action="store_true", help="print the settings and stop")
    parser.add_argument("overrides", nargs="*", metavar="section.field=value", help="change a setting")


def run(args: argparse.Namespace) -> int | None:
    """Train; 75 when told to stop, after saving."""
    plan = make_plan(args)
    if args.settings:
        print_settings(plan.config)
        return None
    trainer = Trainer(plan.config, plan.out, plan.resume, plan.init, plan.recipe, progress_bars)
    for note in [*trainer.notes, trainer.summary()]:
        say(note)
    first = trainer.step

    def announce() -> None:
        """Called in a signal handler, which may interrupt a print: writes to the file itself."""
        what = "stopping after this step, which is saved"
        if trainer.step == first and plan.config.run.compile:
            what = "stopping when compiling and the first step are done"
        os.write(sys.stderr.fileno(), f"\nijepa train: {what}; Ctrl-C again stops at once\n".encode())

    try:
        folder = trainer.run(announce)
    except Preempted:
        say(f"stopped at step {trainer.step} of {trainer.steps} and saved; run the same command again to continue")
        return PREEMPTED
    report(trainer)
    print(folder)
    return None


def make_plan(args: argparse.Namespace) -> Plan:
    """The run that the arguments ask for.

    Raises:
        ConfigError: an unknown recipe or setting, or a value of the wrong kind.
        UsageError: neither a recipe nor a run to resume.
        CheckpointError: `--resume` or `--init` names something else than a checkpoint or run.
    """
    recipe, overrides = args.recipe, list(args.overrides)
    if recipe and "=" in recipe:
        recipe, overrides = None, [recipe, *overrides]
    flags = {"data.uri": args.data, "data.name": args.dataset_name}
    assignments = [f"{name}={json.dumps(value)}" for name, value in flags.items() if value is not None] + overrides
    init = read_checkpoint(Path(args.init)) if args.init else None
    saved = None if args.resume in ("auto", "never") else read_run(Path(args.resume))
    if recipe:
        out = args.out or (saved.folder if saved else Path("runs") / recipe)
        return Plan(
            configure(recipe, assignments, init=init is not None), recipe, out, find_resume(args.resume, out), init
        )
    if not saved:
        raise UsageError(f"give a recipe ({', '.join(RECIPES)}), or the run to continue with --resume DIR")
    config = override(saved.config, assignments)
    return Plan(config, saved.recipe, args.out or saved.folder, saved.checkpoint, init or saved.origin)


def report(trainer: Trainer) -> None:
    """What the run reached, whether it collapsed, and what to do next."""
    out = trainer.out
    rows = read_rows(out / RUN_LOG, trainer.step)
    row = trainer.last_row or {name: float(value) for name, value in (rows[-1] if rows else {}).items() if value}
    shown = ("loss", *trainer.objective.logs, "rankme", "images_per_s")
    reached = ", ".join(f"{name} {row[name]:.4g}" for name in shown if name in row)
    say(f"finished step {trainer.step} of {trainer.steps} in {out}: {reached}")
    if broken := trainer.batches.reader.broken:
        say(f"{len(broken)} of {trainer.images.count:,} images could not be read; others were used in their place")
    if row and (warning := collapse_warning(row, min(N_MONITOR_IMAGES, trainer.images.count))):
        say(f"warning: {warning}")
    path = shlex.quote(str(out))
    bundle = shlex.quote(str(Path("bundles") / out.resolve().name))
    say(f"next: ijepa export {path} --out {bundle}, or ijepa probe {path} --data URI (images with classes)")


def say(text: str) -> None:
    """One line on standard error."""
    print(printable(f"ijepa train: {text}"), file=sys.stderr)


def print_settings(config: RunConfig) -> None:
    """One `section.field=value` a line."""
    values = config.model_dump(mode="json")
    for name in settings_of(config):
        value = values
        for part in name.split("."):
            value = value[part]
        print(f"{name}={json.dumps(value)}")
