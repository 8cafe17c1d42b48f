"""Other precisions of a bundle's graphs, made by ONNX Runtime's own tools, and how far each is from float32.

float16 computes in half the bits, for GPUs. int8 quantises every product with weights behind the first block, weights by channel
and activations by ranges found once on real pictures, so that no picture's numbers depend on another's. What comes before is
sensitive: its error alone would be a hundred times that of all the rest (docs/log.md).
"""

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import onnx
from jaxtyping import UInt8
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16

from models.bundle import CONTEXT, ENCODER, PREDICTOR, Accuracy, Variant, variant_file
from models.config import EncoderConfig
from models.errors import ConfigError, ExportError
from models.progress import progress
from models.session import Session

Precision = Literal["float16", "int8"]
Inputs = dict[str, np.ndarray]
FOR_RANGES = 512
"""Pictures from which int8 finds the ranges of activations."""
FOR_ACCURACY = 1000
"""Other pictures, on which each precision is compared with float32."""


class Pictures(NamedTuple):
    """Pictures to quantise with and to measure on: their pixels, and where they are from."""

    pixels: UInt8[np.ndarray, "n H W C"]
    description: str


def add_precision(
    folder: Path, precision: Precision, graphs: Sequence[str], encoder: EncoderConfig, pictures: Pictures
) -> Variant:
    """Write every graph of a bundle in another precision, and measure it.

    Raises:
        ConfigError: too few pictures.
        ExportError: numbers that are not finite.
    """
    if len(pictures.pixels) < FOR_RANGES + FOR_ACCURACY:
        raise ConfigError(
            f"{pictures.description} has {len(pictures.pixels):,} pictures; a precision needs {FOR_RANGES + FOR_ACCURACY:,}: "
            f"{FOR_RANGES} to find ranges and {FOR_ACCURACY:,} others to measure on"
        )
    ranges, rest = pictures.pixels[:FOR_RANGES], pictures.pixels[FOR_RANGES:][:FOR_ACCURACY]
    accuracy = {}
    for name in graphs:
        feed = _Feed(folder, name, encoder)
        with _quiet():
            MAKERS[precision](folder / name, folder / variant_file(name, precision), feed(ranges))
        accuracy[name] = _accuracy(folder, name, precision, feed(rest))
    return Variant(accuracy=accuracy, pictures=FOR_ACCURACY, measured_on=pictures.description)


class _Feed:
    """Inputs of a graph for batches of pictures: as in training, a third of the patches is context, a sixth is asked for."""

    def __init__(self, folder: Path, name: str, encoder: EncoderConfig) -> None:
        self._name, self._patches, self._batch = name, encoder.patches, encoder.at_once(16)
        self._context = Session(folder / CONTEXT) if name == PREDICTOR else None

    def __call__(self, pixels: UInt8[np.ndarray, "n H W C"]) -> Iterator[Inputs]:
        draw = np.random.default_rng(0)
        with progress(len(pixels), f"pictures through {self._name}", "pictures") as bar:
            for start in range(0, len(pixels), self._batch):
                batch = pixels[start : start + self._batch]
                yield self._inputs(batch, draw)
                bar.update(len(batch))

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
    """Half precision throughout, with float32 in and out."""
    with tempfile.TemporaryDirectory() as folder:
        typed = (
            Path(folder) / source.name
        )  # the converter wants the type of every value; inferred by file, for graphs over 2 GB
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

    products = _behind_the_first_block(onnx.load(source, load_external_data=False).graph)
    if not products:
        raise ExportError(
            f"{source.name} has one block; int8 leaves the first as it is, so there is nothing to quantise"
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


MAKERS: dict[Precision, Callable[[Path, Path, Iterator[Inputs]], None]] = {"float16": _to_float16, "int8": _to_int8}


def _behind_the_first_block(graph: Any) -> list[str]:
    """The products with weights behind the third LayerNorm: a block has two, so that one begins the second, or ends the network.

    Whitenings are none of them: they enlarge what is small, rounding with it.
    """
    norms = [i for i, node in enumerate(graph.node) if node.op_type == "LayerNormalization"]
    weights = {tensor.name for tensor in graph.initializer if not tensor.name.startswith("whitenings.")}
    return [node.name for node in graph.node[norms[2] :] if node.op_type == "MatMul" and node.input[1] in weights]


def _accuracy(folder: Path, name: str, precision: str, inputs: Iterator[Inputs]) -> Accuracy:
    """Of the output that is furthest off, cosines between each picture's features in float32 and in the other precision.

    Features are the poolings, and the mean over tokens where a graph has none; from both the mean of float32's is taken.
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
                f"{name} in {precision} gives numbers that are not finite, or the same for all pictures; nothing was written"
            )
        accuracies.append(Accuracy(first_percentile=float(np.percentile(cosine, 1)), mean=float(cosine.mean())))
    return min(accuracies, key=lambda accuracy: accuracy.first_percentile)


def _centred_cosines(exact: np.ndarray, other: np.ndarray) -> np.ndarray:
    """One a row, both less the mean of the first."""
    centre = exact.mean(axis=0, dtype=np.float64)
    left, right = exact - centre, other - centre
    with np.errstate(invalid="ignore"):
        cosines: np.ndarray = (left * right).sum(axis=1) / (
            np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        )
    return cosines


def _save(model: Any, out: Path, source: Path) -> None:
    """Like its source: weights inside, or beside it."""
    onnx.save(model, out, save_as_external_data=_is_external(source), location=f"{out.name}.data")


def _is_external(path: Path) -> bool:
    return path.with_name(f"{path.name}.data").exists()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tools' hints on the root logger."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
