"""Embed all images of sources into Parquet files. Killed and started again, it goes on after what is done.

Each row has id, uri, sha256, width, height, embedding (or patches), status and error. An image that cannot be embedded is a
row with another status than ok and without an embedding.
"""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from models.bundle.reader import Bundle, find_bundle, read_bundle, zoo
from models.errors import ConfigError, UsageError
from models.images.decode import LOCAL_LIMITS, DecodeLimits
from models.images.sources.table import source_uris
from models.inference.canonical import check_canonical
from models.runtimes.networks import Runtime
from models.runtimes.select import open_runtime
from models.runtimes.table import GROUPS, RUNTIME_NAMES, load_runtimes
from models.terminal import printable, progress_bars
from service.jobs.listing import Changes, Row
from service.jobs.opening import spec_of
from service.jobs.runner import run_job
from service.jobs.sinks.table import SINKS
from service.operations.base import EmbedOptions
from service.operations.embed import output_name
from service.settings import Settings, read_settings

PREEMPTED = 75
MAX_NAMES = 3
"""How many images that are gone are named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help=f"a folder with its subfolders, an image, or {source_uris()}"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--bundle", metavar="NAME|DIR", help="a bundle's name or folder (the bundled model)")
    parser.add_argument(
        "--output", choices=("pooled", "patches"), default="pooled", help="one vector an image or a patch (pooled)"
    )
    parser.add_argument(
        "--pooling", help="one that the bundle has: mean, last4, and their whitened forms (the bundle's default: mean)"
    )
    parser.add_argument("--normalize", action="store_true", help="scale every vector to length 1")
    parser.add_argument(
        "--dtype", choices=("float32", "float16"), default="float32", help="type of the embeddings (float32)"
    )
    parser.add_argument(
        "--fit", choices=("crop", "squash"), help="centre crop, or the whole image squashed (the model's own: crop)"
    )
    parser.add_argument("--format", choices=tuple(SINKS), default="parquet", help="file format (parquet)")
    parser.add_argument(
        "--runtime", help=f"{', '.join(RUNTIME_NAMES)}; the first three are the fastest of their devices (auto)"
    )
    parser.add_argument("--precision", help="auto, float32, or another that the bundle has (auto)")
    parser.add_argument(
        "--by-suffix", action="store_true", help="tell images by their names alone, without opening every file"
    )
    parser.add_argument(
        "--update", action="store_true", help="also embed images that are new in the sources since the job began"
    )
    parser.add_argument("--overwrite", action="store_true", help="delete the job that is in DIR and begin again")


def run(args: argparse.Namespace) -> None:
    """Embed, and say how many rows of which status there are."""
    if args.update and args.overwrite:
        raise UsageError("--update adds to a job and --overwrite deletes it: give one of them")
    signal.signal(signal.SIGTERM, _preempted)
    settings = read_settings(
        bundle=(args.bundle,) if args.bundle else None, runtime=args.runtime, precision=args.precision
    )
    names = settings.bundle or tuple(zoo()[:1])
    if len(names) != 1:
        given = ", ".join(names) or "none is installed"
        raise ConfigError(f"a job uses one bundle, not {len(names)} ({given}); choose one with --bundle")
    bundle = read_bundle(find_bundle(names[0]))
    options = EmbedOptions(args.output, args.pooling, normalize=args.normalize, dtype=args.dtype, fit=args.fit)
    runtime = open_runtime_of_job(args.out, args.overwrite, bundle, settings, output_name(bundle.manifest, options))
    check_canonical(runtime, bundle)
    report = run_job(
        args.sources,
        args.out,
        bundle,
        runtime,
        options,
        limits=limits_of(settings),
        batch=settings.max_batch if "max_batch" in settings.model_fields_set else None,
        sink=args.format,
        by_suffix=args.by_suffix,
        update=args.update,
        overwrite=args.overwrite,
        progress=progress_bars,
    )
    if report.skipped:
        _say(f"left out: {', '.join(f'{count} {what}' for what, count in sorted(report.skipped.items()))}")
    if any(report.changes):
        _say(describe_changes(report.changes, updated=args.update))
    how, total = SINKS[args.format].how_to_read(args.out), report.statuses.total()
    if report.written:
        _say(f"{report.written} rows written; read all of them with {how}")
    else:
        _say(f"all {total} rows were there already; read them with {how}")
    counts = ", ".join(f"{count} {status}" for status, count in report.statuses.most_common())
    print(f"{total} rows in {args.out}: {counts}")


def open_runtime_of_job(out: Path, overwrite: bool, bundle: Bundle, settings: Settings, output: str) -> Runtime:
    """The runtime that the settings name; of what they leave open, the one that the job in `out` began with, where it still is.

    What is fastest is measured, so a later call might choose another.

    Raises:
        ConfigError: the job cannot be read, or a runtime or precision that cannot be had here.
    """
    before = None if overwrite else spec_of(out)
    if before is not None and (settings.runtime in GROUPS or settings.precision == "auto"):
        precision = before.precision if settings.precision == "auto" else settings.precision
        for name, runtime in load_runtimes(settings.runtime).items():
            if before.runtime.startswith(runtime.library()):
                opened = open_runtime(name, bundle, settings.threads, precision)
                if opened.name == before.runtime:
                    return opened
    return open_runtime(settings.runtime, bundle, settings.threads, settings.precision, progress_bars, output)


def limits_of(settings: Settings) -> DecodeLimits:
    """The limits that the user set in the environment, else those for files of the user's own, not those of a server."""
    given = settings.model_fields_set
    return DecodeLimits(
        settings.max_image_bytes if "max_image_bytes" in given else LOCAL_LIMITS.max_bytes,
        settings.max_pixels if "max_pixels" in given else LOCAL_LIMITS.max_pixels,
    )


def describe_changes(changes: Changes, updated: bool) -> str:
    """What changed in the sources since the job began, and what to do."""
    text = f"since this job began: {len(changes.new)} new, {len(changes.gone)} gone"
    if changes.gone:
        text += f" ({_some(changes.gone)}; rows of images that are gone stay)"
    if changes.new:
        text += "; the new ones were embedded" if updated else "; to embed the new ones, add --update"
    return text


def _some(rows: list[Row]) -> str:
    more = [f"and {len(rows) - MAX_NAMES} more"] if len(rows) > MAX_NAMES else []
    return ", ".join([row.id for row in rows[:MAX_NAMES]] + more)


def _say(text: str) -> None:
    print(printable(f"ijepa embed: {text}"), file=sys.stderr)


def _preempted(_number: int, _frame: FrameType | None) -> NoReturn:
    _say("stopped; finished parts are kept, run the same command again to go on")
    sys.exit(PREEMPTED)
