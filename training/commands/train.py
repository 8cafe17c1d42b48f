"""Train a network by a recipe, and go on where an earlier run in the same folder stopped.

Any setting of the recipe can be changed with section.field=value; --settings lists them with their values.
"""

import argparse
import json
import sys
from pathlib import Path

from models.checkpoint import read_checkpoint
from models.errors import ConfigError
from training.config import RunConfig, override, settings_of
from training.recipes import RECIPES
from training.trainer import Preempted, Trainer, find_resume

PREEMPTED = 75


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("recipe", metavar="RECIPE", help=", ".join(RECIPES))
    parser.add_argument("--data", metavar="URI", help="a folder, fashion-mnist:train, idx:FILE or synthetic:COUNT")
    parser.add_argument("--init", metavar="CHECKPOINT", help="start from the weights of a checkpoint, at step 0")
    parser.add_argument("--out", metavar="DIR", type=Path, help="the run's folder (runs/RECIPE)")
    parser.add_argument(
        "--resume", default="auto", metavar="auto|never|DIR", help="which run to go on with (auto: the one in --out)"
    )
    parser.add_argument("--settings", action="store_true", help="print the settings and stop")
    parser.add_argument("overrides", nargs="*", metavar="section.field=value", help="change a setting")


def run(args: argparse.Namespace) -> int | None:
    """Train; 75 when told to stop, after saving."""
    config = configure(args)
    if args.settings:
        print_settings(config)
        return None
    out = args.out or Path("runs") / args.recipe
    init = read_checkpoint(Path(args.init)) if args.init else None
    trainer = Trainer(config, out, find_resume(args.resume, out), init, args.recipe)
    print(trainer.summary(), file=sys.stderr)
    try:
        print(trainer.run())
    except Preempted:
        print(
            f"ijepa train: stopped at step {trainer.step} of {trainer.steps} and saved; run the same again to go on",
            file=sys.stderr,
        )
        return PREEMPTED
    return None


def configure(args: argparse.Namespace) -> RunConfig:
    """The recipe with what the command line changes.

    Raises:
        ConfigError: an unknown recipe or setting, or a value it cannot take.
    """
    if args.recipe not in RECIPES:
        raise ConfigError(f"recipe {args.recipe!r} is unknown; the recipes are {', '.join(RECIPES)}")
    data = [f"data.uri={json.dumps(args.data)}"] if args.data else []
    return override(RECIPES[args.recipe](), [*data, *args.overrides])


def print_settings(config: RunConfig) -> None:
    """One `section.field=value` a line."""
    values = config.model_dump(mode="json")
    for name in settings_of(config):
        value = values
        for part in name.split("."):
            value = value[part]
        print(f"{name}={json.dumps(value)}")
