"""Generated images as files, and what it costs to make the network's input of them."""

import io
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from models.config import ModelConfig
from models.images.decode import LOCAL_LIMITS
from models.images.preprocess import Preprocessing, read_pixels
from models.inference.canonical import canonical_images
from service.bench.record import Decoding

COUNT = 8
QUALITY = 90
WIDTH, HEIGHT = 500, 375
TILES = 8
"""A large image is this many small ones in both directions: 4000 x 3000."""
SMALL = 64
"""A network of at most this many pixels in each direction is sent images of its own size."""


class Sample(NamedTuple):
    """Encoded images of a kind. They are generated, and the same everywhere; a JPEG has about the bytes of a photograph's."""

    name: str
    content_type: str
    files: tuple[bytes, ...]


def make_samples(model: ModelConfig) -> list[Sample]:
    """What is sent to a server that has this network, then what else is decoded."""
    images = canonical_images(COUNT, HEIGHT, WIDTH, 3)
    large = np.tile(np.concatenate(list(images), axis=1), (TILES, 1, 1))
    samples = [
        Sample(f"{WIDTH} x {HEIGHT} JPEG", "image/jpeg", tuple(_encode(image, "JPEG") for image in images)),
        Sample("12-megapixel JPEG", "image/jpeg", (_encode(large, "JPEG"),)),
    ]
    height, width = model.pixels.size
    if max(height, width) > SMALL:
        return samples
    own = canonical_images(COUNT, height, width, model.pixels.channels)
    return [Sample(f"{width} x {height} PNG", "image/png", tuple(_encode(image, "PNG") for image in own)), *samples]


def measure_decoding(samples: Sequence[Sample], preprocessing: Preprocessing, seconds: float) -> tuple[Decoding, ...]:
    """Each kind for some seconds, and at least each file once. On this thread; its CPU time is what counts."""
    return tuple(
        Decoding(
            image=sample.name,
            bytes=sum(map(len, sample.files)) // len(sample.files),
            ms=_milliseconds(sample.files, preprocessing, seconds),
        )
        for sample in samples
    )


def _milliseconds(files: Sequence[bytes], preprocessing: Preprocessing, seconds: float) -> float:
    read_pixels(files[0], preprocessing, limits=LOCAL_LIMITS)
    until, cpu, count = time.perf_counter() + seconds, time.thread_time(), 0
    while count < len(files) or time.perf_counter() < until:
        read_pixels(files[count % len(files)], preprocessing, limits=LOCAL_LIMITS)
        count += 1
    return 1000 * (time.thread_time() - cpu) / count


def _encode(image: UInt8[np.ndarray, "H W C"], file_format: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, file_format, quality=QUALITY)
    return file.getvalue()
