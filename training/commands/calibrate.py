"""Measure what energy is usual at each place of the grid over images of a kind, so that an image's energies can be judged.

Blocks as in training are hidden, predicted and compared; mean and standard deviation of every patch's energy go into a copy of
the bundle, and `/v1/predict` of it gives `z` beside each energy. Take images of what should count as usual, a hundred or more.
Images that cannot be read are left out and named.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np

from models.bundle.manifest import CARD, Calibration
from models.bundle.reader import Bundle, check_id, check_replaceable, find_bundle, read_bundle, write_manifest
from models.errors import ConfigError, UsageError
from models.images.sources.base import ListOptions
from models.images.sources.table import open_source
from models.inference.calibration import calibrate
from models.io import atomic_directory
from models.runtimes.select import open_reference
from models.terminal import printable, progress_bars
from training.commands.reports import report_skipped, report_unreadable

CARD_LINE = "Energies are calibrated on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle's folder or name")
    parser.add_argument("--data", metavar="URI", required=True, help="a folder of images, or another source of train's")
    parser.add_argument("--by-suffix", action="store_true", help="tell images by their suffix alone (faster to list)")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the new bundle goes")
    parser.add_argument("--id", help="the name that clients call the new bundle by (that of the old one)")
    parser.add_argument("--masks", type=int, default=8, help="draws of blocks an image (8)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (0)")


def run(args: argparse.Namespace) -> None:
    """Measure, and write the new bundle."""
    bundle = read_bundle(find_bundle(args.bundle))
    if not bundle.manifest.predicts:
        raise ConfigError(f"{bundle.manifest.id} has no predictor (its source had none), so it has no energies")
    if args.masks < 1 or args.seed < 0:
        raise UsageError(f"--masks is {args.masks}, at least 1; --seed is {args.seed}, at least 0")
    bundle_id = check_id(args.id or bundle.manifest.id)
    check_replaceable(args.out)
    source = open_source(args.data, ListOptions(args.by_suffix), progress_bars)
    report_skipped(source)
    networks = open_reference(bundle)
    calibration, unreadable = calibrate(networks, bundle.manifest, source, args.masks, args.seed, progress_bars)
    report_unreadable(unreadable, len(source))
    images = described(source.description, calibration.images, len(unreadable))
    write_calibrated(bundle, calibration, images, bundle_id, args.out)
    mean = np.array(calibration.mean)
    text = (
        f"energies of {images}: {mean.mean():.4f} on average, from {mean.min():.4f} to {mean.max():.4f} over the grid"
    )
    print(printable(text), file=sys.stderr)
    print(args.out)


def described(source: str, images: int, unreadable: int) -> str:
    """The images of a calibration, counted once: `24 of 26 images of a folder named 'a', 2 could not be read`."""
    return f"{images:,} of {source}, {unreadable:,} could not be read" if unreadable else source


def write_calibrated(bundle: Bundle, calibration: Calibration, images: str, bundle_id: str, out: Path) -> None:
    """A copy of the bundle that has the calibration, in its manifest and in a line of its card, on these `images`.

    A heading of the card that is the old id becomes the new one.
    """
    with atomic_directory(out) as folder:
        for name in bundle.manifest.files:
            shutil.copyfile(bundle.path(name), folder / name)
        card = folder / CARD
        lines = [line for line in bundle.card().splitlines() if not line.startswith(CARD_LINE)]
        if lines and lines[0] == f"# {bundle.manifest.id}":
            lines[0] = f"# {bundle_id}"
        line = f"{CARD_LINE} {images}, with {calibration.masks} draws of blocks each."
        card.write_text("\n".join([*lines, "", line]).rstrip() + "\n")
        write_manifest(folder, bundle.manifest.model_copy(update={"id": bundle_id, "calibration": calibration}))
