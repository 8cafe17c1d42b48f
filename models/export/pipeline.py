"""Checkpoint to bundle: three graphs with normalisation and poolings inside, checked against PyTorch."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors.numpy import save_file

from models.bundle.card import model_card
from models.bundle.manifest import (
    CANONICAL,
    CARD,
    ENCODER,
    TRAINING_LOG,
    Manifest,
    ManifestDraft,
    StoredWeights,
    Variant,
    WhitenedOn,
)
from models.bundle.reader import check_replaceable, write_manifest
from models.bundle.results import Results
from models.checkpoint.store import LATEST, RUN_LOG, WEIGHTS, Checkpoint, load_model
from models.errors import ConfigError
from models.export.decoding import DecodedImages, measure_scaled_decoding, with_scaled_decoding
from models.export.graphs import NO_WHITENINGS, EncoderGraph, graph_names, poolings_by_width, round_weights, trace
from models.export.onnx_files import save_graph, store_as_float16
from models.export.parity import TOLERANCE, Reference
from models.export.provenance import distance_of, masking_of, provenance_of, with_dataset_name
from models.export.quantize import CalibrationImages, Precision, add_precision, check_calibration_images
from models.export.whitening import MIN_WHITENING_IMAGES, Whitening, fit_whitening
from models.io import atomic_directory, sha256_of
from models.network.ijepa import IJEPA
from models.progress import Progress, no_progress
from models.runtimes.onnxruntime import Session


def export_bundle(
    checkpoint: Checkpoint,
    out: Path,
    *,
    bundle_id: str,
    licence: str | None = None,
    dataset_name: str | None = None,
    weights: StoredWeights = "float32",
    card: str | None = None,
    measured: Results | None = None,
    precisions: Sequence[str] = (),
    images: CalibrationImages | None = None,
    whiten: CalibrationImages | None = None,
    decoded: DecodedImages | None = None,
    progress: Progress = no_progress,
) -> Manifest:
    """Write a bundle, completely or not at all. A network without context encoder or predictor gives `encoder.onnx` alone.

    `licence` and `dataset_name` replace what the checkpoint states; `card` is the text of the model card. With
    `weights="float16"` matrices are rounded to float16 first; the graphs store them so, cast them at load and compute in
    float32, and parity is with the rounded network. `precisions` (names of `QUANTIZERS`) are written beside float32,
    calibrated and measured on `images`. With `whiten` every pooling has a whitened form too, fitted on these images. With
    `decoded`, JPEGs are decoded at a smaller scale where the features of these images are within `accuracy_floor`.

    Raises:
        BundleError: `out` holds something other than a bundle.
        CheckpointError: tensors that do not fit the network.
        ConfigError: results of another checkpoint; too few images for a precision or a whitening.
        ExportError: a graph whose outputs differ from PyTorch's.
    """
    check_replaceable(out)
    checkpoint_sha256 = sha256_of(checkpoint.folder / WEIGHTS)
    if measured:
        _check_same_network(measured, checkpoint, checkpoint_sha256)
    if precisions:
        assert images is not None, "a precision is calibrated and measured on images"
        check_calibration_images(images)
    training = with_dataset_name(checkpoint.training, dataset_name)
    encoder = checkpoint.config.encoder
    model = load_model(checkpoint).eval()
    if weights == "float16":
        round_weights(model)
    whitenings = fit_whitenings(model, whiten.pixels, progress) if whiten else NO_WHITENINGS
    with atomic_directory(out) as folder:
        graphs = graph_names(model)
        for name in graphs:
            save_graph(trace(model, name, whitenings), folder / name, progress)
        reference = Reference(model, whitenings)
        canonical = reference.canonical()
        save_file(canonical, folder / CANONICAL)

        plain = list(poolings_by_width(encoder))
        added: dict[str, Precision] = {}
        for precision in precisions:
            assert images is not None
            added[precision] = add_precision(folder, precision, graphs, encoder, images, canonical, plain, progress)
        if weights == "float16":
            for name in graphs:
                store_as_float16(folder / name, progress)
        draft = ManifestDraft(
            id=bundle_id,
            licence=licence or training.licence,
            source=provenance_of(training, checkpoint_sha256),
            model=checkpoint.config,
            poolings=poolings_by_width(encoder, whitenings),
            whitening=WhitenedOn(images=len(whiten.pixels), measured_on=whiten.description) if whiten else None,
            masking=masking_of(training),
            distance=distance_of(training),
            stored_weights=weights,
            parity={name: reference.parity(name, Session(folder / name)) for name in graphs},
            variants={precision: _with_probes(each.variant, precision, measured) for precision, each in added.items()},
            tolerance={"float32": TOLERANCE, **{precision: each.tolerance for precision, each in added.items()}},
            probes=measured,
        )
        if decoded:
            encoder_graph = Session(folder / ENCODER)
            draft = with_scaled_decoding(
                draft, measure_scaled_decoding(encoder_graph, list(draft.poolings), decoded, progress)
            )
        (folder / CARD).write_text(model_card(draft, card))
        _copy_training_log(checkpoint, folder)
        return write_manifest(folder, draft)


@torch.no_grad()
def fit_whitenings(
    model: IJEPA, pixels: UInt8[np.ndarray, "n H W C"], progress: Progress = no_progress
) -> dict[str, Whitening]:
    """A whitening of each pooling, fitted on the outputs of the network for these images.

    Raises:
        ConfigError: too few images.
    """
    if len(pixels) < MIN_WHITENING_IMAGES:
        raise ConfigError(
            f"--whiten needs at least {MIN_WHITENING_IMAGES} images, better thousands; there are {len(pixels)}"
        )
    encoder, batch = EncoderGraph(model), model.config.encoder.cpu_batch_size(256)
    pools: dict[str, list[np.ndarray]] = {name: [] for name in encoder.poolings}
    with progress(len(pixels), "images to whiten with", "images") as stage:
        for start in range(0, len(pixels), batch):
            chunk = torch.from_numpy(pixels[start : start + batch])
            for name, pooled in zip(pools, encoder(chunk)[1:], strict=True):
                pools[name].append(pooled.numpy())
            stage.update(len(chunk))
    return {name: fit_whitening(np.concatenate(parts)) for name, parts in pools.items()}


def _with_probes(variant: Variant, precision: str, measured: Results | None) -> Variant:
    """A variant with the difference that its precision makes to the probes' results, where there are any."""
    return variant.model_copy(update={"probe_difference": measured.difference(precision) if measured else {}})


def _check_same_network(measured: Results, checkpoint: Checkpoint, checkpoint_sha256: str) -> None:
    """Results must be of the same weights on the same grid."""
    if measured.checkpoint_sha256 != checkpoint_sha256:
        raise ConfigError(
            f"the results are of the checkpoint with sha256 {measured.checkpoint_sha256[:12]}, this one has "
            f"{checkpoint_sha256[:12]}; run 'ijepa probe' on it"
        )
    grid = checkpoint.config.encoder.grid
    if measured.grid != grid:
        raise ConfigError(
            f"the results are of a grid of {measured.grid[0]}x{measured.grid[1]} patches, this export has "
            f"{grid[0]}x{grid[1]}; run 'ijepa probe' on the bundle of this size"
        )


def _copy_training_log(checkpoint: Checkpoint, folder: Path) -> None:
    """Add the log of the run that the checkpoint belongs to, if it belongs to one."""
    run = checkpoint.folder.parent
    if (run / LATEST).is_file() and (run / RUN_LOG).is_file():
        shutil.copyfile(run / RUN_LOG, folder / TRAINING_LOG)
