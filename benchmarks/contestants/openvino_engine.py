"""OpenVINO on a file of a bundle, and Pillow before it: what the programs with our engine and file share."""

import io
import os

import numpy as np
import openvino as ov
from PIL import Image

SIZE, CROP = int(os.environ["IMAGE_SIZE"]), float(os.environ["CROP"])
FILTER = Image.Resampling[os.environ["INTERPOLATION"].upper()]


def read_pixels(data: bytes) -> np.ndarray:
    """JPEG bytes as uint8 [H, W, C]: the centre, resized once."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    side = min(image.size) * CROP
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((SIZE, SIZE), FILTER, box=box))


def compile_encoder(hint: str) -> ov.CompiledModel:
    """The encoder with its mean pooling alone, in bfloat16 where the CPU has it unless `PRECISION` is float32."""
    settings = {"PERFORMANCE_HINT": hint}
    if os.environ["PRECISION"] == "float32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    if threads := os.environ.get("INFERENCE_NUM_THREADS"):
        settings["INFERENCE_NUM_THREADS"] = threads
    core = ov.Core()
    graph = core.read_model(os.environ["ENCODER"])
    mean = ov.Model([graph.output("mean")], graph.get_parameters())
    return core.compile_model(mean, "CPU", settings)
