"""Images for tests of whitening and quantisation."""

import numpy as np

from models.export.quantize import CalibrationImages


def images(count, size=16):
    """Blurred noise: smooth like photographs."""
    noise = np.random.default_rng(4).integers(0, 256, (count, size // 4, size // 4, 3), dtype=np.uint8)
    return CalibrationImages(noise.repeat(4, axis=1).repeat(4, axis=2), "made-up images")
