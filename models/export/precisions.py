"""Bundle to bundle: more precisions, from the float32 graphs alone."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from models.bundle.card import with_precisions
from models.bundle.manifest import CARD, Manifest
from models.bundle.reader import Bundle, check_replaceable, write_manifest
from models.export.quantize import CalibrationImages, add_precision, check_calibration_images
from models.io import atomic_directory
from models.progress import Progress, no_progress


def add_precisions(
    bundle: Bundle,
    out: Path,
    bundle_id: str,
    precisions: Sequence[str],
    images: CalibrationImages,
    progress: Progress = no_progress,
) -> Manifest:
    """Write a copy of a bundle with more precisions, completely or not at all; those that it has already are made again.

    `out` may be the bundle itself.

    Raises:
        BundleError: `out` holds something other than a bundle.
        ConfigError: too few images.
        ExportError: a precision with outputs that are not finite.
    """
    check_replaceable(out)
    check_calibration_images(images)
    manifest, canonical = bundle.manifest, bundle.canonical()
    variants, tolerance = dict(manifest.variants), dict(manifest.tolerance)
    with atomic_directory(out) as folder:
        for name in manifest.files:
            shutil.copyfile(bundle.path(name), folder / name)
        for precision in precisions:
            plain, graphs = manifest.canonical_poolings(precision), list(manifest.parity)
            encoder = manifest.model.encoder
            variants[precision], tolerance[precision] = add_precision(
                folder, precision, graphs, encoder, images, canonical, plain, progress
            )
        more = manifest.model_copy(update={"id": bundle_id, "variants": variants, "tolerance": tolerance})
        card = folder / CARD
        card.write_text(with_precisions(bundle.card(), manifest.id, more))
        return write_manifest(folder, more)
