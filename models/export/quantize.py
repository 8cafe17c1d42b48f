"""Other precisions of a bundle's graphs, made with ONNX Runtime's own tools, and how far each is from float32.

float16 computes in half precision, for GPUs. int8 quantises the products with weights after the first block: weights by
channel, activations with ranges found once on real images, so that the outputs for an image do not depend on others in its
batch. The first block stays float32: quantised, its error would be a hundred times that of all the others
(docs/experiments, int8 and float16).
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from jaxtyping import UInt8
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16

from models.bundle.manifest import CONTEXT, ENCODER, PREDICTOR, Accuracy, Variant
from models.bundle.reader import variant_file
from models.config import EncoderConfig
from models.errors import ConfigError, ExportError
from models.export.onnx_files import quiet
from models.progress import Progress, no_progress
from models.runtimes.onnxruntime import Session

Inputs = dict[str, np.ndarray]
Quantizer = Callable[[Path, Path, Iterator[Inputs]], None]
"""Writes a float32 graph in another precision: source, destination, inputs to calibrate with."""

N_RANGE_IMAGES = 512
"""Images on which int8 finds the ranges of activations."""
N_ACCURACY_IMAGES = 1000
"""Other images, on which each precision is compared with float32."""
ROOT_LOGGER = ""
"""Where the tools log their hints."""


class CalibrationImages(NamedTuple):
    """Preprocessed images to fit and measure on, and a description of their source."""

    pixels: UInt8[np.ndarray, "n H W C"]
    description: str


def check_calibration_images(images: CalibrationImages) -> None:
    """Check that the images are enough to find ranges and to measure on others.

    Raises:
        ConfigError: too few.
    """
    needed = N_RANGE_IMAGES + N_ACCURACY_IMAGES
    if len(images.pixels) < needed:
        raise ConfigError(
            f"{images.description} has {len(images.pixels):,} images; --precision needs {needed:,}: {N_RANGE_IMAGES} to find "
            f"ranges and {N_ACCURACY_IMAGES:,} others to measure on"
        )


def add_precision(
    folder: Path,
    precision: str,
    graphs: Sequence[str],
    encoder: EncoderConfig,
    images: CalibrationImages,
    progress: Progress = no_progress,
) -> Variant:
    """Write every graph of a bundle in a precision of `QUANTIZERS`, and measure it. See `check_calibration_images`.

    Raises:
        ExportError: outputs that are not finite.
    """
    ranges, rest = images.pixels[:N_RANGE_IMAGES], images.pixels[N_RANGE_IMAGES:][:N_ACCURACY_IMAGES]
    accuracy = {}
    for name in graphs:
        feed = _Feed(folder, name, encoder, progress)
        with quiet(ROOT_LOGGER):
            QUANTIZERS[precision](folder / name, folder / variant_file(name, precision), feed(ranges))
        accuracy[name] = _accuracy(folder, name, precision, feed(rest))
    return Variant(accuracy=accuracy, images=N_ACCURACY_IMAGES, measured_on=images.description)


class _Feed:
    """Inputs of a graph for batches of images: as in training, a third of the patches is context, a sixth is a target."""

    def __init__(self, folder: Path, name: str, encoder: EncoderConfig, progress: Progress) -> None:
        self._name, self._patches, self._batch = name, encoder.patches, encoder.cpu_batch_size(16)
        self._progress = progress
        self._context = Session(folder / CONTEXT) if name == PREDICTOR else None

    def __call__(self, pixels: UInt8[np.ndarray, "n H W C"]) -> Iterator[Inputs]:
        draw = np.random.default_rng(0)
        with self._progress(len(pixels), f"images through {self._name}", "images") as stage:
            for start in range(0, len(pixels), self._batch):
                batch = pixels[start : start + self._batch]
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


def _to_float16(source: Path, out: Path, _: Iterator[Inputs]) -> None:
    """Half precision throughout, with float32 inputs and outputs."""
    with tempfile.TemporaryDirectory() as folder:
        # The converter needs the type of every value. Inferred from a file, which works for graphs above 2 GB.
        typed = Path(folder) / source.name
        onnx.shape_inference.infer_shapes_path(str(source), str(typed))
        model = onnx.load(typed, load_external_data=False)
        onnx.load_external_data_for_model(model, str(source.parent))
    half = convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True)
    _save(half, out, source)


def _to_int8(source: Path, out: Path, inputs: Iterator[Inputs]) -> None:
    """QDQ: int8 weights by channel, uint8 activations with fixed ranges."""

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> Inputs | None:
            return next(inputs, None)

    products = _products_after_first_block(onnx.load(source, load_external_data=False).graph)
    if not products:
        raise ExportError(
            f"{source.name} has one block, and int8 leaves the first block in float32: there is nothing to quantise"
        )
    quantize_static(
        str(source),
        str(out),
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul"],
        nodes_to_quantize=products,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
        use_external_data_format=_is_external(source),
    )


QUANTIZERS: dict[str, Quantizer] = {"float16": _to_float16, "int8": _to_int8}
"""By the name of the precision, as in `--precision` and in the file names."""


def _products_after_first_block(graph: Any) -> list[str]:
    """Products with weights after the third LayerNorm: a block has two, so the third starts the second block or ends the network.

    Whitenings are left out: they amplify small values, and rounding errors with them.
    """
    norms = [i for i, node in enumerate(graph.node) if node.op_type == "LayerNormalization"]
    weights = {tensor.name for tensor in graph.initializer if not tensor.name.startswith("whitenings.")}
    return [node.name for node in graph.node[norms[2] :] if node.op_type == "MatMul" and node.input[1] in weights]


def _accuracy(folder: Path, name: str, precision: str, inputs: Iterator[Inputs]) -> Accuracy:
    """Cosines between each image's features in float32 and in the other precision, of the output where they are lowest.

    Features are the poolings, or the mean over tokens for a graph without. The mean of the float32 features is subtracted
    from both.
    """
    exact, other = Session(folder / name), Session(folder / variant_file(name, precision))
    outputs = exact.outputs[1:] or exact.outputs
    a: list[list[np.ndarray]] = []
    b: list[list[np.ndarray]] = []
    for feed in inputs:
        for session, batches in ((exact, a), (other, b)):
            batches.append([x.mean(axis=1) if x.ndim == 3 else x for x in session.run(outputs, **feed)])
    accuracies = []
    for lefts, rights in zip(zip(*a, strict=True), zip(*b, strict=True), strict=True):
        cosine = _centred_cosines(np.concatenate(lefts), np.concatenate(rights))
        if not np.isfinite(cosine).all():
            raise ExportError(
                f"{name} in {precision} has outputs that are not finite, or equal for all images; nothing was written"
            )
        accuracies.append(Accuracy(first_percentile=float(np.percentile(cosine, 1)), mean=float(cosine.mean())))
    return min(accuracies, key=lambda accuracy: accuracy.first_percentile)


def _centred_cosines(exact: np.ndarray, other: np.ndarray) -> np.ndarray:
    """One cosine a row, after subtracting the mean of `exact` from both."""
    centre = exact.mean(axis=0, dtype=np.float64)
    left, right = exact - centre, other - centre
    with np.errstate(invalid="ignore"):
        cosines: np.ndarray = (left * right).sum(axis=1) / (
            np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        )
    return cosines


def _save(model: Any, out: Path, source: Path) -> None:
    """Write a graph with its weights inside or beside it, as its source has them."""
    onnx.save(model, out, save_as_external_data=_is_external(source), location=f"{out.name}.data")


def _is_external(path: Path) -> bool:
    return path.with_name(f"{path.name}.data").exists()
