"""How close embeddings of JPEGs decoded at a smaller scale are to those of JPEGs decoded in full, and what a bundle says of it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from models.bundle.manifest import Accuracy, ManifestDraft, ScaledDecoding
from models.errors import ConfigError, ExportError, IJEPAError
from models.export.whitening import sample_indices
from models.images.decode import HEAD_BYTES, LOCAL_LIMITS, image_format
from models.images.preprocess import Decoding, Preprocessing, decoding_scale, read_pixels
from models.images.sources.base import Source
from models.inference.accuracy import centred_cosines
from models.progress import Progress, no_progress
from models.runtimes.onnxruntime import Session

MIN_DECODED_IMAGES = 100
"""Fewer have no first percentile."""
MAX_DECODED_IMAGES = 1000
BATCH = 16


class DecodedImages(NamedTuple):
    """Preprocessed JPEGs, each decoded in full and at a smaller scale, and a description of their source.

    `unreadable` has one sentence for each image of the source that could not be read.
    """

    exact: UInt8[np.ndarray, "n H W C"]
    scaled: UInt8[np.ndarray, "n H W C"]
    description: str
    unreadable: tuple[str, ...]


def read_decoded_images(
    source: Source, preprocessing: Preprocessing, progress: Progress = no_progress
) -> DecodedImages:
    """At most `MAX_DECODED_IMAGES` JPEGs of a source that scaled decoding affects, in a fixed random order.

    Raises:
        ConfigError: fewer than `MIN_DECODED_IMAGES` of them.
    """
    exact: list[np.ndarray] = []
    scaled: list[np.ndarray] = []
    unreadable = []
    with progress(len(source), f"decoding {source.description}", "images") as stage:
        for i in sample_indices(len(source), len(source)):
            if len(exact) == MAX_DECODED_IMAGES:
                break
            stage.update()
            try:
                data = source.read(int(i))
                if image_format(data[:HEAD_BYTES]) != "JPEG":
                    continue
                pixels, size = read_pixels(data, _with(preprocessing, "scaled"), limits=LOCAL_LIMITS)
                if decoding_scale(size, preprocessing) > 1:
                    exact.append(read_pixels(data, _with(preprocessing, "exact"), limits=LOCAL_LIMITS)[0])
                    scaled.append(pixels)
            except IJEPAError as error:
                unreadable.append(f"{source.item(int(i)).uri}: {error}")
    if len(exact) < MIN_DECODED_IMAGES:
        height, width = preprocessing.size
        raise ConfigError(
            f"{source.description}: {len(exact)} are JPEGs large enough to be decoded at a smaller scale for {height}x{width} "
            f"pixels; --scaled-decoding needs at least {MIN_DECODED_IMAGES} of them to be measured on"
        )
    return DecodedImages(np.stack(exact), np.stack(scaled), source.description, tuple(unreadable))


def measure_scaled_decoding(
    encoder: Session, poolings: list[str], images: DecodedImages, progress: Progress = no_progress
) -> ScaledDecoding:
    """The mean-centred cosine between an encoder's poolings of both forms, of the pooling where it is lowest.

    Raises:
        ExportError: outputs that are not finite.
    """
    features = []
    with progress(2 * len(images.exact), "images decoded in full and at a smaller scale", "images") as stage:
        for pixels in (images.exact, images.scaled):
            batches = []
            for start in range(0, len(pixels), BATCH):
                batches.append(encoder.run(poolings, pixels=pixels[start : start + BATCH]))
                stage.update(len(batches[-1][0]))
            features.append([np.concatenate(parts) for parts in zip(*batches, strict=True)])
    accuracies = []
    for exact, scaled in zip(*features, strict=True):
        cosines = centred_cosines(exact, scaled)
        if not np.isfinite(cosines).all():
            raise ExportError("embeddings of --scaled-decoding are not finite, or equal for all images")
        accuracies.append(Accuracy(first_percentile=float(np.percentile(cosines, 1)), mean=float(cosines.mean())))
    return ScaledDecoding(
        accuracy=min(accuracies, key=lambda accuracy: accuracy.first_percentile),
        images=len(images.exact),
        measured_on=images.description,
    )


def with_scaled_decoding(draft: ManifestDraft, measured: ScaledDecoding) -> ManifestDraft:
    """A manifest with the record; its preprocessing decodes at a smaller scale if that is within its `accuracy_floor`."""
    used = measured.accuracy.first_percentile >= draft.accuracy_floor
    pixels = _with(draft.model.pixels, "scaled" if used else "exact")
    model = draft.model.model_copy(update={"pixels": pixels})
    return draft.model_copy(update={"model": model, "scaled_decoding": measured})


def _with(preprocessing: Preprocessing, decoding: Decoding) -> Preprocessing:
    return preprocessing.model_copy(update={"decoding": decoding})
