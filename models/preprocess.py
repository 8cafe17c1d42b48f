"""The pixel recipe: how a picture becomes the uint8 array that a network takes.

Service, jobs and probes use the same function, so a vector means the same wherever it was made. Normalisation is not
here: it is the network's first step (`PixelRecipe.mean` and `.std` are what it uses).
"""

import math
import struct
from typing import Annotated, Literal, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

Fit = Literal["crop", "squash"]

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
"""Pillow's filters, which always smooth when they shrink."""

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
"""File names that count as pictures in a folder."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class PixelRecipe(BaseModel):
    """What a network expects of its pixels.

    `size` is (height, width). `fit` is what is done where a request does not say. `crop` is the share of the short side that
    the centre crop keeps (224 of 256 is 0.875). `mean` and `std` are per channel, of pixels scaled to 0..1. One channel means
    luminance (ITU-R 601). With `whole_pixels` the picture is resized to whole pixels before the crop, and the crop starts at
    one, as torchvision's Resize and CenterCrop do: up to a pixel less exact, and the same numbers as theirs.
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

    def model_post_init(self, _: object) -> None:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(
                f"mean and std must have one value a channel ({self.channels}), not {len(self.mean)} and {len(self.std)}"
            )


class View(NamedTuple):
    """The part of a picture that a network sees, in the picture's pixels (may be fractions of one)."""

    left: float
    top: float
    right: float
    bottom: float


def view_of(size: tuple[int, int], recipe: PixelRecipe, fit: Fit | None = None) -> View:
    """What the network sees of a picture of `size` (width, height): all of it squashed, or its centre with the right shape.

    `fit` is the recipe's own where none is given.
    """
    width, height = size
    if (fit or recipe.fit) == "squash":
        return View(0.0, 0.0, float(width), float(height))
    target_height, target_width = recipe.size
    if recipe.whole_pixels:
        return _view_in_whole_pixels(width, height, recipe)
    scale = min(width / target_width, height / target_height) * recipe.crop
    seen_width, seen_height = target_width * scale, target_height * scale
    left, top = (width - seen_width) / 2, (height - seen_height) / 2
    return View(left, top, left + seen_width, top + seen_height)


def _view_in_whole_pixels(width: int, height: int, recipe: PixelRecipe) -> View:
    """The view of torchvision's Resize(floor(side / crop)) and CenterCrop: both round to pixels of the resized picture."""
    target_height, target_width = recipe.size
    scale = max(math.floor(target_height / recipe.crop) / height, math.floor(target_width / recipe.crop) / width)
    resized_width, resized_height = max(target_width, int(width * scale)), max(target_height, int(height * scale))
    left, top = round((resized_width - target_width) / 2), round((resized_height - target_height) / 2)
    across, down = width / resized_width, height / resized_height
    return View(left * across, top * down, (left + target_width) * across, (top + target_height) * down)


BROKEN = (OSError, SyntaxError, ValueError, EOFError, OverflowError, IndexError, KeyError, TypeError, struct.error)
"""What Pillow's readers raise on broken files, found by feeding them mutated ones."""

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""


def upright_rgb(image: Image.Image) -> Image.Image:
    """The picture as it is meant to be seen: turned as its EXIF says, transparency over white, 16 bits scaled to 8, RGB."""
    image.load()
    if turn := TURNS.get(orientation_of(image)):
        image = image.transpose(turn)
    if image.mode.startswith("I"):  # Pillow clips 16-bit greys when it converts them; scale instead
        image = Image.fromarray((np.asarray(image, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image.convert("RGB")


def orientation_of(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8. Metadata that cannot be read does not spoil a picture that can: it counts as upright."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except BROKEN:
        return 1
    return value if isinstance(value, int) else 1


def to_pixels(image: Image.Image, recipe: PixelRecipe, fit: Fit | None = None) -> UInt8[np.ndarray, "H W C"]:
    """An RGB or grey picture as the network's input. A picture that has the right size already keeps its pixels."""
    return resample(image, recipe, view_of(image.size, recipe, fit))


def resample(image: Image.Image, recipe: PixelRecipe, view: View) -> UInt8[np.ndarray, "H W C"]:
    """A part of a picture, resized to the network's input: one resampling, whatever part and size."""
    mode = "L" if recipe.channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    height, width = recipe.size
    if image.size != (width, height) or view != (0, 0, width, height):
        image = image.resize((width, height), RESAMPLING[recipe.interpolation], box=view)
    return np.array(image, dtype=np.uint8).reshape(height, width, recipe.channels)
