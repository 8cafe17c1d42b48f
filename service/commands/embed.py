"""Embed all pictures of folders into Parquet files. Killed and started again, it goes on where it was.

Each row has id, uri, sha256, width, height, embedding (or patches), status and error; broken pictures are rows too.
"""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from models.bundle import find_bundle, read_bundle, zoo
from models.errors import ConfigError
from service.engine import Device, EmbedOptions, Engine
from service.jobs.runner import run_job
from service.runtimes import RUNTIMES, open_runtime
from service.settings import read_settings

PREEMPTED = 75


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="a folder, searched to its depths, or a picture")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the files go")
    parser.add_argument("--bundle", metavar="NAME|DIR", help="a bundled model or a folder (the bundled model)")
    parser.add_argument(
        "--output", choices=("pooled", "patches"), default="pooled", help="one vector a picture or a patch (pooled)"
    )
    parser.add_argument(
        "--pooling", default="mean", help="one that the bundle has: mean, last4, and their whitened forms (mean)"
    )
    parser.add_argument(
        "--dtype", choices=("float32", "float16"), default="float32", help="of the numbers in the files (float32)"
    )
    parser.add_argument(
        "--fit", choices=("crop", "squash"), help="centre crop, or the whole picture squashed (the model's own: crop)"
    )
    parser.add_argument("--runtime", help=f"auto, {', '.join(RUNTIMES)} (auto)")
    parser.add_argument("--precision", help="auto, float32, or another that the bundle has (auto)")
    parser.add_argument("--overwrite", action="store_true", help="start anew, deleting the job that is in DIR")


def run(args: argparse.Namespace) -> None:
    """Embed, and say how many rows of which status there are."""
    signal.signal(signal.SIGTERM, _preempted)
    settings = read_settings(
        bundle=(args.bundle,) if args.bundle else None, runtime=args.runtime, precision=args.precision
    )
    names = settings.bundle or tuple(zoo()[:1])
    if len(names) != 1:
        raise ConfigError(f"a job uses one bundle; these are {len(names)}: {', '.join(names) or 'none is installed'}")
    bundle = read_bundle(find_bundle(names[0]))
    engine = Engine(
        bundle,
        open_runtime(settings.runtime, bundle, settings.threads, settings.precision),
        settings,
        Device(),
        lambda *_: None,
    )
    engine.check()
    options = EmbedOptions(args.output, args.pooling, dtype=args.dtype, fit=args.fit)
    report = run_job(args.sources, args.out, engine, options, args.overwrite)
    if report.others:
        others = ", ".join(f"{count} {suffix}" for suffix, count in sorted(report.others.items()))
        print(f"ijepa embed: files that are no pictures by their names were left out: {others}", file=sys.stderr)
    counts = ", ".join(f"{count} {status}" for status, count in report.statuses.most_common())
    print(f"{report.statuses.total()} rows in {args.out}: {counts}")


def _preempted(_number: int, _frame: FrameType | None) -> NoReturn:
    print("ijepa embed: told to stop; finished parts are kept, run the same again to go on", file=sys.stderr)
    sys.exit(PREEMPTED)
