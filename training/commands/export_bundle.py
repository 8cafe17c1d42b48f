"""`ijepa export BUNDLE --precision ...`: more precisions for a bundle, without its checkpoint."""

import argparse
from pathlib import Path

from models.bundle.manifest import Manifest
from models.bundle.reader import check_id, find_bundle, read_bundle
from models.errors import BundleError, UsageError
from models.export.precisions import add_precisions
from models.export.quantize import N_ACCURACY_IMAGES, N_RANGE_IMAGES
from models.images.sources.base import ListOptions
from models.terminal import progress_bars
from training.commands.images import read_images

CHECKPOINT_OPTIONS = {
    "to": "bundle",
    "licence": None,
    "dataset_name": None,
    "store": "float32",
    "size": None,
    "whiten": None,
    "scaled_decoding": None,
    "card": None,
    "probes": None,
}
"""Options that a bundle does not take, and their defaults."""


def find_given_bundle(path: Path) -> Path | None:
    """The folder of a bundle, given by its path or its name; None for a checkpoint or nothing."""
    try:
        folder = find_bundle(str(path))
    except BundleError:
        return None
    return None if path.exists() and folder != path else folder


def add_to_bundle(folder: Path, args: argparse.Namespace) -> Manifest:
    """A copy of a bundle with more precisions, as the options say.

    Raises:
        UsageError: an option that needs a checkpoint, or no --precision with --calibration.
    """
    if given := [name for name, default in CHECKPOINT_OPTIONS.items() if getattr(args, name) != default]:
        raise UsageError(f"--{given[0].replace('_', '-')} needs a checkpoint; {args.checkpoint} is a bundle")
    if not args.precision or not args.calibration:
        raise UsageError(f"{args.checkpoint} is a bundle: give --precision and --calibration to add a precision to it")
    bundle = read_bundle(find_bundle(str(folder)))
    bundle_id = check_id(args.id or bundle.manifest.id)
    needed, pixels = N_RANGE_IMAGES + N_ACCURACY_IMAGES, bundle.manifest.model.pixels
    images = read_images(args.calibration, ListOptions(args.by_suffix), pixels, needed, progress_bars)
    return add_precisions(bundle, args.out, bundle_id, tuple(dict.fromkeys(args.precision)), images, progress_bars)
