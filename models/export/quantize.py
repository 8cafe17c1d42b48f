"""Other precisions of a bundle, and how far each is from float32.

float16 computes in half precision, for GPUs; int8 computes the products with weights in integers (`models.export.int8`). bfloat16
is a way of running the float32 graphs: it is measured by emulation (`models.export.bfloat16`), and has no files.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from jaxtyping import UInt8
from onnxruntime.transformers.float16 import convert_float_to_float16

from models.bundle.manifest import ENCODER, Variant
from models.bundle.reader import FROM_FLOAT32, variant_file
from models.config import EncoderConfig
from models.errors import ConfigError
from models.export.accuracy import BatchesOf, canonical_tolerance, lowest, measure_accuracy
from models.export.bfloat16 import write_bfloat16
from models.export.int8 import write_int8
from models.export.onnx_files import quiet
from models.export.qdq import Feed
from models.progress import Progress, no_progress

Quantizer = Callable[[Path, Path, Feed], None]
"""Writes a float32 graph in another precision: source, destination, inputs to calibrate with."""

N_RANGE_IMAGES = 256
"""Images on which int8 finds ranges and covariances of activations."""
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


class Precision(NamedTuple):
    """What a manifest says of a precision."""

    variant: Variant
    tolerance: float


def add_precision(
    folder: Path,
    precision: str,
    graphs: Sequence[str],
    encoder: EncoderConfig,
    images: CalibrationImages,
    canonical: dict[str, np.ndarray],
    poolings: Sequence[str],
    progress: Progress = no_progress,
) -> Precision:
    """Write every graph of a bundle in a precision of `QUANTIZERS`, and measure it. See `check_calibration_images`.

    `canonical` has the canonical image and outputs, `poolings` are those of them that are compared. The graphs of a precision
    that runs the float32 graphs are deleted once it is measured.

    Raises:
        ExportError: outputs that are not finite; no product that could be quantised.
    """
    ranges, rest = images.pixels[:N_RANGE_IMAGES], images.pixels[N_RANGE_IMAGES:][:N_ACCURACY_IMAGES]
    with tempfile.TemporaryDirectory(dir=folder, prefix=".emulated-") as emulated:
        kept = precision not in FROM_FLOAT32
        files = {name: folder / variant_file(name, precision) if kept else Path(emulated) / name for name in graphs}
        measured = {}
        for name, file in files.items():
            with quiet(ROOT_LOGGER):
                QUANTIZERS[precision](folder / name, file, BatchesOf(folder, name, encoder, ranges, progress))
            batches = BatchesOf(folder, name, encoder, rest, progress)
            measured[name] = measure_accuracy(precision, folder / name, file, batches)
        tolerance = canonical_tolerance(files, canonical, poolings)
    variant = Variant(
        accuracy={name: lowest(outputs) for name, outputs in measured.items()},
        poolings=measured[ENCODER],
        images=N_ACCURACY_IMAGES,
        measured_on=images.description,
    )
    return Precision(variant, tolerance)


def write_float16(source: Path, out: Path, _: Feed) -> None:
    """Half precision throughout, with float32 inputs and outputs."""
    with tempfile.TemporaryDirectory() as folder:
        # The converter needs the type of every value. Inferred from a file, which works for graphs above 2 GB.
        typed = Path(folder) / source.name
        onnx.shape_inference.infer_shapes_path(str(source), str(typed))
        model = onnx.load(typed, load_external_data=False)
        onnx.load_external_data_for_model(model, str(source.parent))
    half = convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True)
    onnx.save(half, out, save_as_external_data=_is_external(source), location=f"{out.name}.data")


def _is_external(path: Path) -> bool:
    """Whether the weights of a graph lie beside it."""
    return path.with_name(f"{path.name}.data").exists()


QUANTIZERS: dict[str, Quantizer] = {"float16": write_float16, "int8": write_int8, "bfloat16": write_bfloat16}
"""By the name of the precision, as in `--precision` and in the file names."""
