"""Measure what a bundle costs on this machine: the engine in every runtime and precision, decoding, HTTP.

The ways to run the bundle are timed again, and the fastest that is accurate enough is kept for the next server. A server is
started on a free port of this machine and stopped again. Other programs that run meanwhile make every figure worse.
"""

import argparse
import signal
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from models.bundle.reader import find_bundle, read_bundle
from models.errors import ConfigError, UsageError
from models.io import atomic_write
from models.runtimes.select import choose
from models.runtimes.table import RUNTIME_NAMES
from models.terminal import printable, progress_bars
from service.bench import report
from service.bench.decoding import make_samples, measure_decoding
from service.bench.engine import measure_engine
from service.bench.peak import check_idle, measure_machine
from service.bench.record import Bench
from service.bench.serving import measure_http
from service.settings import read_settings

MAX_CLIENTS = 1000
MAX_SECONDS = 600.0
PEAK_SHARE, ENGINE_SHARE, DECODING_SHARE = 0.1, 0.4, 0.1
"""How long a precision, a batch size of a way and a kind of image are measured, as shares of `--seconds`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle's name or folder")
    parser.add_argument(
        "--runtime", help=f"{', '.join(RUNTIME_NAMES)}; the first three are all of their devices (auto)"
    )
    parser.add_argument("--precision", help="auto for all that the bundle has, float32, or another of them (auto)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each load over HTTP lasts (5)")
    parser.add_argument("--clients", type=int, default=32, help="connections of the second load (32)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")


def run(args: argparse.Namespace) -> None:
    """Measure, print each part when it is done, and write the record."""
    _check_arguments(args)
    signal.signal(signal.SIGTERM, _interrupted)
    bundle = read_bundle(find_bundle(args.bundle))
    settings = read_settings(bundle=(args.bundle,), runtime=args.runtime, precision=args.precision)
    manifest, notes = bundle.manifest, list[str]()
    encoder, preprocessing = manifest.model.encoder, manifest.model.pixels
    check_idle(notes)
    choice = choose(settings.runtime, bundle, settings.threads, settings.precision, progress_bars, fresh=True)
    machine = measure_machine(PEAK_SHARE * args.seconds)
    _print(report.machine_text(machine))
    engine = measure_engine(
        choice, bundle, settings.threads, ENGINE_SHARE * args.seconds, machine.gemm_gflops, progress_bars
    )
    _print(report.engine_text(engine, manifest.id, encoder, (settings.runtime, settings.precision)))
    samples = make_samples(manifest.model)
    decoding = measure_decoding(samples, preprocessing, DECODING_SHARE * args.seconds)
    _print(report.decoding_text(decoding, preprocessing.decoding))
    http = measure_http(bundle, settings, samples[0], engine, (args.clients, args.seconds), notes, progress_bars)
    _print(report.http_text(http))
    for note in notes:
        print(f"note: {note}")

    if args.json:
        record = Bench(
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            bundle=manifest.id,
            bundle_sha256=bundle.sha256,
            runtime=settings.runtime,
            precision=settings.precision,
            seconds=args.seconds,
            flop_per_image=encoder.flop,
            machine=machine,
            engine=engine,
            decoding=decoding,
            http=http,
            notes=tuple(notes),
        )
        atomic_write(args.json, record.model_dump_json(indent=2) + "\n")


def _check_arguments(args: argparse.Namespace) -> None:
    if not 0 < args.seconds <= MAX_SECONDS:
        raise UsageError(f"--seconds is {args.seconds:g}; it must be above 0 and at most {MAX_SECONDS:.0f}")
    if not 1 <= args.clients <= MAX_CLIENTS:
        raise UsageError(f"--clients is {args.clients}; it must be from 1 to {MAX_CLIENTS}")
    if args.json and not args.json.resolve().parent.is_dir():
        raise ConfigError(f"there is no folder {args.json.resolve().parent} for --json to write into")


def _print(text: str) -> None:
    print(printable(f"{text}\n"), flush=True)


def _interrupted(_number: int, frame: FrameType | None) -> None:
    """SIGTERM does what Ctrl-C does, so that the server is stopped, too."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)
