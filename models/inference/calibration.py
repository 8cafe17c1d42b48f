"""What energy is usual at each place of the grid: mean and standard deviation over images."""

from typing import NamedTuple

import numpy as np

from models.bundle.manifest import Calibration, Manifest
from models.errors import ConfigError, DataError, IJEPAError
from models.images.sources.base import Source, item_pixels
from models.inference.energy import draw_blocks, energy_maps
from models.progress import Progress, no_progress
from models.runtimes.networks import Networks

MIN_IMAGES = 2
"""Images below which there is no standard deviation."""
MAX_BATCH = 16


class Calibrated(NamedTuple):
    """A calibration, and one sentence for each image that could not be read and was left out."""

    calibration: Calibration
    unreadable: tuple[str, ...]


def calibrate(
    networks: Networks,
    manifest: Manifest,
    source: Source,
    masks: int,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Calibrated:
    """Energies of all images of a source that can be read, each of `masks` draws; the images of a batch share their draws.

    Raises:
        DataError: fewer than two images that can be read.
        ConfigError: masks other than blocks, or draws that never hid some patch.
    """
    maps, unreadable = [], []
    batch = manifest.model.encoder.cpu_batch_size(MAX_BATCH)
    with progress(len(source) * masks, "energies", "draws") as stage:
        for start in range(0, len(source), batch):
            indices = range(start, min(start + batch, len(source)))
            pixels = []
            for index in indices:
                try:
                    pixels.append(item_pixels(source, index, manifest.model.pixels))
                except IJEPAError as error:
                    unreadable.append(str(error))
            stage.update((len(indices) - len(pixels)) * masks)
            if pixels:
                draws = draw_blocks(manifest.masking, manifest.grid, masks, seed + start)
                maps.append(energy_maps(networks, manifest, np.stack(pixels), draws, drawn=stage.update))
    if (images := sum(map(len, maps))) < MIN_IMAGES:
        broken = f", {len(unreadable)} of which cannot be read ({unreadable[0]})" if unreadable else ""
        raise DataError(
            f"{source.description} has {len(source):,} images{broken}; a mean and a standard deviation need at least "
            f"{MIN_IMAGES}, better hundreds"
        )
    energies = np.concatenate(maps)
    hidden = int(np.isfinite(energies).sum(axis=0).min())
    if hidden < MIN_IMAGES:
        raise ConfigError(
            f"masks={masks} draws of blocks hid some patch of the grid in only {hidden} images, at least {MIN_IMAGES} are "
            "needed; use more"
        )
    calibration = Calibration(
        mean=np.nanmean(energies, axis=0).tolist(),
        std=np.nanstd(energies, axis=0, ddof=1).tolist(),
        masks=masks,
        images=images,
        measured_on=source.description + (f", {len(unreadable):,} of which cannot be read" if unreadable else ""),
    )
    return Calibrated(calibration, tuple(unreadable))
