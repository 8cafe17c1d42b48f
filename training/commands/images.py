"""Images that a command measures on, read once."""

import numpy as np

from models.errors import DataError, IJEPAError
from models.export.quantize import CalibrationImages
from models.export.whitening import sample_indices
from models.images.preprocess import Preprocessing, to_pixels
from models.images.sources.base import ListOptions
from models.images.sources.table import open_source
from models.progress import Progress
from training.commands.reports import report_skipped, report_unreadable


def read_images(
    uri: str, options: ListOptions, preprocessing: Preprocessing, limit: int, progress: Progress
) -> CalibrationImages:
    """At most `limit` images of a source, in a fixed random order. Those that cannot be read are left out and named.

    Raises:
        DataError: no image can be read.
    """
    source = open_source(uri, options, progress)
    report_skipped(source)
    pixels: list[np.ndarray] = []
    unreadable = []
    with progress(min(limit, len(source)), f"reading {source.description}", "images") as stage:
        for i in sample_indices(len(source), len(source)):
            if len(pixels) == limit:
                break
            try:
                pixels.append(to_pixels(source.open(int(i)), preprocessing))
            except IJEPAError as error:
                unreadable.append(str(error))
            else:
                stage.update()
    report_unreadable(unreadable, len(source))
    if not pixels:
        raise DataError(f"none of {source.description} can be read ({unreadable[0]})")
    broken = f", {len(unreadable):,} of which cannot be read" if unreadable else ""
    return CalibrationImages(np.stack(pixels), f"{source.description}{broken}")
