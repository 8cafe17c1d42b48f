"""Training views: random crops of images."""

import numpy as np
from jaxtyping import Float64

from models.images.preprocess import View
from training.config import DataConfig


def random_view(size: tuple[int, int], config: DataConfig, u: Float64[np.ndarray, "5"]) -> View:
    """A crop of random area and aspect (width over height, evenly in its logarithm) of an image of `size` (width, height).

    A side longer than the image is cut to it. The crop never leaves the image, however the arithmetic rounds.
    """
    width, height = size
    area = width * height * (config.crop_scale[0] + u[0] * (config.crop_scale[1] - config.crop_scale[0]))
    low, high = np.log(config.crop_aspect)
    aspect = np.exp(low + u[1] * (high - low))
    crop_width, crop_height = min(np.sqrt(area * aspect), width), min(np.sqrt(area / aspect), height)
    left, top = u[2] * (width - crop_width), u[3] * (height - crop_height)
    right, bottom = min(left + crop_width, width), min(top + crop_height, height)
    return View(float(left), float(top), float(right), float(bottom))
