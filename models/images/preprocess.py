"""Preprocessing: how an RGB image becomes the uint8 array that a network takes.

Service, jobs and probes use the same function, so a vector means the same wherever it was made. Normalisation is not
here: it is the network's first step (`Preprocessing.mean` and `.std` are what it uses).
"""

import math
from typing import Annotated, Literal, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from models.images.decode import DecodeLimits, decode, decode_scaled

Fit = Literal["crop", "squash"]
Decoding = Literal["exact", "scaled"]

SCALES = (8, 4, 2)
"""A JPEG can be decoded at one of these fractions of its size."""
MARGIN = 2
"""A JPEG is decoded at a smaller scale as long as the view keeps this many times the network's pixels in both directions.

It is part of what `scaled` means. On photographs that have just this many, the first percentile of the mean-centred cosine to
exact decoding was 0.9997 at 2, 0.9992 at 1.5 and 0.9952 at 1.
"""

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
"""Pillow's filters, which always smooth when they shrink."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
"""File names that count as images in a folder."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Preprocessing(BaseModel):
    """What a network expects of its pixels.

    `size` is (height, width). `fit` is what is done where a request does not say. `crop` is the share of the short side that
    the centre crop keeps (224 of 256 is 0.875). `mean` and `std` are per channel, of pixels scaled to 0..1. One channel means
    luminance (ITU-R 601). With `whole_pixels` the image is resized to whole pixels before the crop, and the crop starts at
    one, as torchvision's Resize and CenterCrop do: up to a pixel less exact, and the same numbers as theirs. `decoding` is of
    large JPEGs: `scaled` decodes them at 1/2, 1/4 or 1/8 of their size where that leaves the view `MARGIN` times the network's
    pixels, which is several times faster and changes the numbers a little. Training always decodes exactly.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: tuple[int, int]
    channels: Literal[1, 3] = 3
    fit: Fit = "crop"
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    whole_pixels: bool = False
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    decoding: Decoding = "exact"

    def model_post_init(self, _: object) -> None:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(
                f"mean and std must have one value a channel ({self.channels}), not {len(self.mean)} and {len(self.std)}"
            )


class View(NamedTuple):
    """The part of an image that a network sees, in the image's pixels (may be fractions of one)."""

    left: float
    top: float
    right: float
    bottom: float


def view_of(size: tuple[int, int], preprocessing: Preprocessing, fit: Fit | None = None) -> View:
    """What the network sees of an image of `size` (width, height): all of it squashed, or its centre with the right shape.

    `fit` is the preprocessing's own where none is given. The view never leaves the image, however the arithmetic rounds.
    """
    width, height = size
    if (fit or preprocessing.fit) == "squash":
        return View(0.0, 0.0, float(width), float(height))
    target_height, target_width = preprocessing.size
    if preprocessing.whole_pixels:
        return _view_in_whole_pixels(width, height, preprocessing)
    scale = min(width / target_width, height / target_height) * preprocessing.crop
    seen_width, seen_height = target_width * scale, target_height * scale
    left, top = (width - seen_width) / 2, (height - seen_height) / 2
    return _inside(View(left, top, left + seen_width, top + seen_height), width, height)


def _view_in_whole_pixels(width: int, height: int, preprocessing: Preprocessing) -> View:
    """The view of torchvision's Resize(floor(side / crop)) and CenterCrop: both round to pixels of the resized image."""
    target_height, target_width = preprocessing.size
    scale = max(
        math.floor(target_height / preprocessing.crop) / height, math.floor(target_width / preprocessing.crop) / width
    )
    resized_width, resized_height = max(target_width, int(width * scale)), max(target_height, int(height * scale))
    left, top = round((resized_width - target_width) / 2), round((resized_height - target_height) / 2)
    across, down = width / resized_width, height / resized_height
    view = View(left * across, top * down, (left + target_width) * across, (top + target_height) * down)
    return _inside(view, width, height)


def _inside(view: View, width: int, height: int) -> View:
    """Without what rounding put outside the image: `224 * (225 / 224)` is more than 225."""
    return View(max(0.0, view.left), max(0.0, view.top), min(float(width), view.right), min(float(height), view.bottom))


def to_pixels(image: Image.Image, preprocessing: Preprocessing, fit: Fit | None = None) -> UInt8[np.ndarray, "H W C"]:
    """An RGB or grey image as the network's input. An image that has the right size already keeps its pixels."""
    return resample(image, preprocessing, view_of(image.size, preprocessing, fit))


def read_pixels(
    data: bytes,
    preprocessing: Preprocessing,
    fit: Fit | None = None,
    limits: DecodeLimits = DecodeLimits(),  # noqa: B008
) -> tuple[UInt8[np.ndarray, "H W C"], tuple[int, int]]:
    """Encoded bytes as the network's input, and the size (width, height) of the image as seen.

    Raises:
        ImageError: see `models.images.decode.decode`.
    """
    if preprocessing.decoding == "exact":
        image = decode(data, limits)
        return to_pixels(image, preprocessing, fit), image.size
    image, size, box = decode_scaled(data, lambda size: decoding_scale(size, preprocessing, fit), limits)
    return resample(image, preprocessing, _within(box, view_of(size, preprocessing, fit), size)), size


def decoding_scale(size: tuple[int, int], preprocessing: Preprocessing, fit: Fit | None = None) -> int:
    """By how much an image of `size` can be reduced, one of `SCALES` or 1, so that its view has `MARGIN` times the pixels needed."""
    view = view_of(size, preprocessing, fit)
    height, width = preprocessing.size
    room = min((view.right - view.left) / width, (view.bottom - view.top) / height)
    return next((scale for scale in SCALES if room >= MARGIN * scale), 1)


def _within(box: tuple[float, float, float, float], view: View, size: tuple[int, int]) -> View:
    """A view of an image of `size` where the image is the part `box` of another."""
    left, top, right, bottom = box
    across, down = (right - left) / size[0], (bottom - top) / size[1]
    moved = View(left + view.left * across, top + view.top * down, left + view.right * across, top + view.bottom * down)
    return View(max(left, moved.left), max(top, moved.top), min(right, moved.right), min(bottom, moved.bottom))


def resample(image: Image.Image, preprocessing: Preprocessing, view: View) -> UInt8[np.ndarray, "H W C"]:
    """A part of an image, resized to the network's input: one resampling, whatever part and size."""
    mode = "L" if preprocessing.channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    height, width = preprocessing.size
    if image.size != (width, height) or view != (0, 0, width, height):
        image = image.resize((width, height), RESAMPLING[preprocessing.interpolation], box=view)
    return np.array(image, dtype=np.uint8).reshape(height, width, preprocessing.channels)
