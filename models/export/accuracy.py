"""How far a graph in another precision is from float32: on images, and on the canonical image."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from models.bundle.manifest import CONTEXT, ENCODER, PREDICTOR, Accuracy
from models.config import EncoderConfig
from models.errors import ExportError
from models.export.qdq import Inputs
from models.inference.accuracy import centred_cosines
from models.inference.canonical import canonical_outputs
from models.progress import Progress, no_progress
from models.runtimes.onnxruntime import Session

TOLERANCE_FACTOR = 3
"""Allowed difference of the canonical outputs from float32, in units of the one that was measured with ONNX Runtime.

Another runtime rounds elsewhere: its outputs are about as far from ONNX Runtime's as either is from float32, and the largest
difference on one image varies. A wrong kernel is further off by orders of magnitude.
"""
MIN_TOLERANCE = 1e-3
"""The least tolerance of a precision other than float32."""


class BatchesOf:
    """The inputs of a graph for images, as often as asked: as in training, a third of the patches is context, a sixth a target."""

    def __init__(
        self,
        folder: Path,
        name: str,
        encoder: EncoderConfig,
        pixels: UInt8[np.ndarray, "n H W C"],
        progress: Progress = no_progress,
    ) -> None:
        self._name, self._patches, self._batch = name, encoder.patches, encoder.cpu_batch_size(16)
        self._pixels, self._progress = pixels, progress
        self._context = Session(folder / CONTEXT) if name == PREDICTOR else None

    def __call__(self) -> Iterator[Inputs]:
        """Batches, the same at each call."""
        draw = np.random.default_rng(0)
        with self._progress(len(self._pixels), f"images through {self._name}", "images") as stage:
            for start in range(0, len(self._pixels), self._batch):
                batch = self._pixels[start : start + self._batch]
                yield self._inputs(batch, draw)
                stage.update(len(batch))

    def _inputs(self, batch: UInt8[np.ndarray, "b H W C"], draw: np.random.Generator) -> Inputs:
        if self._name == ENCODER:
            return {"pixels": batch}
        kept = max(1, self._patches // 3)
        order = np.stack([draw.permutation(self._patches) for _ in batch])
        context, target = order[:, :kept], order[:, kept : kept + max(1, self._patches // 6)]
        if self._context is None:
            return {"pixels": batch, "context_ids": context}
        (tokens,) = self._context.run(["context_tokens"], pixels=batch, context_ids=context)
        return {"context_tokens": tokens, "context_ids": context, "target_ids": target}


def features(graph: Path, batches: Iterable[Inputs]) -> dict[str, np.ndarray]:
    """The poolings of each image, or the mean over its tokens for a graph without, by output: `[n, D]`."""
    session = Session(graph)
    outputs = session.outputs[1:] or session.outputs
    computed = [[x.mean(axis=1) if x.ndim == 3 else x for x in session.run(outputs, **inputs)] for inputs in batches]
    return {name: np.concatenate(parts) for name, *parts in zip(outputs, *computed, strict=True)}


def accuracies(exact: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> dict[str, Accuracy]:
    """Mean-centred cosines between each image's features, by output; NaN where one is not finite, or equal for all images."""
    cosines = {name: centred_cosines(exact[name], other[name]) for name in exact}
    return {
        name: Accuracy(first_percentile=float(np.percentile(each, 1)), mean=float(each.mean()))
        for name, each in cosines.items()
    }


def lowest(measured: Mapping[str, Accuracy]) -> Accuracy:
    """The accuracy of the output where the first percentile is lowest or NaN."""
    return min(measured.values(), key=lambda accuracy: np.nan_to_num(accuracy.first_percentile, nan=-np.inf))


def measure_accuracy(precision: str, exact: Path, other: Path, batches: BatchesOf) -> dict[str, Accuracy]:
    """The accuracy of each output of a graph in another precision.

    Raises:
        ExportError: outputs that are not finite.
    """
    measured = accuracies(features(exact, batches()), features(other, batches()))
    if not np.isfinite([(each.first_percentile, each.mean) for each in measured.values()]).all():
        raise ExportError(
            f"{exact.name} in {precision} has outputs that are not finite, or equal for all images; nothing was written"
        )
    return measured


class GraphFiles:
    """The graphs of a folder that is not a bundle yet, as `models.runtimes.networks.Networks`."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def encode(self, pixels: np.ndarray, outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Networks.encode`."""
        return dict(zip(outputs, Session(self._files[ENCODER]).run(outputs, pixels=pixels), strict=True))

    def encode_context(self, pixels: np.ndarray, context_ids: np.ndarray) -> np.ndarray:
        """See `Networks.encode_context`."""
        return Session(self._files[CONTEXT]).run(["context_tokens"], pixels=pixels, context_ids=context_ids)[0]

    def predict(self, context_tokens: np.ndarray, context_ids: np.ndarray, target_ids: np.ndarray) -> np.ndarray:
        """See `Networks.predict`."""
        inputs = {"context_tokens": context_tokens, "context_ids": context_ids, "target_ids": target_ids}
        return Session(self._files[PREDICTOR]).run(["predicted"], **inputs)[0]


def canonical_tolerance(files: Mapping[str, Path], canonical: dict[str, np.ndarray], poolings: Sequence[str]) -> float:
    """The tolerance of a precision: `TOLERANCE_FACTOR` times the max abs difference of its canonical outputs, over max(1, RMS).

    `files` are its graphs by the name of the float32 graph; `poolings` are those that are compared.
    """
    outputs = canonical_outputs(GraphFiles(files), canonical, list(poolings))
    worst = max(float(np.abs(values - canonical[name]).max()) for name, values in outputs.items())
    rms = float(np.sqrt(np.mean(np.square(canonical["tokens"]))))
    return max(MIN_TOLERANCE, TOLERANCE_FACTOR * worst / max(1.0, rms))
