"""Measure how large energies are at each place of the grid over pictures of a kind, so that one picture's can be told from usual.

Blocks as in training are hidden, predicted and compared; mean and spread of every patch's energy go into a copy of the bundle.
Take pictures of what you want to count as usual, some hundred or more.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import (
    CARD,
    Bundle,
    Calibration,
    check_id,
    find_bundle,
    read_bundle,
    refuse_to_replace,
    write_manifest,
)
from models.energy import Draw, draw_blocks, energy_maps
from models.errors import ConfigError, DataError, UsageError
from models.files import whole_folder
from models.preprocess import to_pixels
from models.progress import progress
from models.session import BundleSessions
from training.data import Source, open_source

LEAST = 2
"""Pictures below which there is no spread."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundled model or a folder")
    parser.add_argument(
        "--data", metavar="URI", required=True, help="a folder of pictures, or another source of train's"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the new bundle goes")
    parser.add_argument("--id", help="the name that clients call the new bundle by (that of the old one)")
    parser.add_argument("--masks", type=int, default=8, help="draws of blocks a picture (8)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (0)")


def run(args: argparse.Namespace) -> None:
    """Measure, and write the new bundle."""
    bundle, source = read_bundle(find_bundle(args.bundle)), open_source(args.data)
    if not bundle.manifest.predicts:
        raise ConfigError(f"{bundle.manifest.id} has no predictor (its source had none), so it knows no energy")
    if args.masks < 1 or args.seed < 0:
        raise UsageError(f"--masks is {args.masks}, at least 1; --seed is {args.seed}, at least 0")
    bundle_id = check_id(args.id or bundle.manifest.id)
    refuse_to_replace(args.out)
    calibration = calibrate(bundle, source, args.masks, args.seed)
    with whole_folder(args.out) as folder:
        for name in bundle.manifest.files:
            shutil.copyfile(bundle.path(name), folder / name)
        with (folder / CARD).open("a") as card:
            card.write(
                f"\nEnergies are calibrated on {calibration.measured_on}, {calibration.pictures:,} pictures with {calibration.masks} "
                "draws of blocks each.\n"
            )
        document = json.loads(bundle.manifest.model_dump_json(exclude={"format", "files"}))
        write_manifest(folder, document | {"id": bundle_id, "calibration": calibration.model_dump()})
    mean = np.array(calibration.mean)
    print(
        f"energies of {calibration.pictures:,} pictures: {mean.mean():.4f} on average, from {mean.min():.4f} to {mean.max():.4f} "
        "over the grid",
        file=sys.stderr,
    )
    print(args.out)


def calibrate(bundle: Bundle, source: Source, masks: int, seed: int) -> Calibration:
    """Mean and spread over all pictures of a source; the pictures of a batch share their draws.

    Raises:
        DataError: fewer than two pictures that can be read.
        ConfigError: draws that never hid some patch.
    """
    networks, manifest = BundleSessions(bundle), bundle.manifest
    maps, batch = [], manifest.model.encoder.at_once(16)
    with progress(len(source) * masks, "energies", "draws") as bar:
        for start in range(0, len(source), batch):
            indices = range(start, min(start + batch, len(source)))
            pixels = np.stack([to_pixels(source.open(i), manifest.model.pixels) for i in indices])
            draws = draw_blocks(manifest.masking, manifest.grid, masks, seed + start)
            maps.append(energy_maps(networks, manifest, pixels, _told(draws, bar, len(pixels))))
    energies = np.concatenate(maps)
    seen = np.isfinite(energies).sum(axis=0)
    if len(energies) < LEAST:
        raise DataError(
            f"{source.description} has {len(energies)} pictures; mean and spread need at least {LEAST}, better hundreds"
        )
    if seen.min() < LEAST:
        raise ConfigError(f"--masks {masks} left some patches of the grid hidden less than {LEAST} times; use more")
    return Calibration(
        mean=np.nanmean(energies, axis=0).tolist(),
        std=np.nanstd(energies, axis=0, ddof=1).tolist(),
        masks=masks,
        pictures=len(energies),
        measured_on=source.description,
    )


def _told(draws: Sequence[Draw], bar: Any, pictures: int) -> Iterator[Draw]:
    """The draws, each counted once it was used."""
    for draw in draws:
        yield draw
        bar.update(pictures)
