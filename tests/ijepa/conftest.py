"""The golden model in this process, and images of the sizes that people have."""

import io

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def model(golden):
    import ijepa

    return ijepa.load(golden, runtime="onnxruntime", threads=1)


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    """Wider than high, and larger than the golden model's input."""
    return np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def png(image) -> bytes:
    return as_png(image)


def as_png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
