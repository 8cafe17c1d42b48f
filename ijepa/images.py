"""What counts as an image, and how one is opened."""

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias, cast

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from models.errors import BrokenImageError, DataError, ImageError, NotAnImageError
from models.images.decode import LOCAL_LIMITS
from models.images.preprocess import Fit, Preprocessing, read_pixels, to_pixels
from models.images.upright import upright_rgb

ImageInput: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | np.ndarray
"""One image: a path, the bytes of a file, a PIL image, or a uint8 array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]."""

ImageInputs: TypeAlias = ImageInput | Iterable[ImageInput]
"""One image, or an iterable of images; a uint8 array [n, H, W, C] is n images."""

SINGLE = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image)
"""Types of one image that can be iterated over, or might one day."""

EXPECTED = "a path, bytes, a PIL image, or a uint8 array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]"
CHANNELS = (1, 3, 4)
BATCH_AXES = 4

MAX_WEBP_SIDE = 16_383
"""Pixels of the longest side that the format allows."""


class NamedImage(NamedTuple):
    """A path, the bytes of a file, or an upright RGB image that nobody else can change; and its name in errors."""

    name: str
    image: Path | bytes | Image.Image


def iterate(images: ImageInputs) -> Iterator[NamedImage]:
    """Each image in order. An iterator is advanced by the caller's thread, and may reuse or close what it gave before.

    Raises:
        ImageError: something that is not an image; the message has its index.
    """
    if not _is_several(images):
        yield name_image(images)
        return
    for index, image in enumerate(cast(Iterable[ImageInput], images)):
        if isinstance(image, np.ndarray) and image.ndim == BATCH_AXES:
            for inner, row in enumerate(image):
                yield name_image(row, f"images[{index}][{inner}]")
        else:
            yield name_image(image, f"images[{index}]")


def name_image(image: object, name: str = "the image") -> NamedImage:
    """One image. Arrays and PIL images are copied here; files are read later. A path is its own name.

    Raises:
        ImageError: not an image; the message says what was given and what is expected.
    """
    if isinstance(image, str | os.PathLike):
        return NamedImage(os.fspath(image), Path(image))
    if isinstance(image, bytes | bytearray | memoryview):
        return NamedImage(name, bytes(image))
    if isinstance(image, np.ndarray):
        _check_array(image, name)
        return NamedImage(name, upright_rgb(Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image)))
    if isinstance(image, Image.Image):
        try:
            upright = upright_rgb(image)
            return NamedImage(name, upright.copy() if upright is image else upright)
        except Exception as error:  # Pillow raises anything on a broken file
            raise BrokenImageError(f"{name}: this PIL image cannot be read: {error}") from error
    hint = "; give its bytes, file.read()" if hasattr(image, "read") else ""
    raise NotAnImageError(f"{name} is of type {type(image).__name__}, expected {EXPECTED}{hint}")


def decode_input(
    named: NamedImage, preprocessing: Preprocessing, fit: Fit | None
) -> tuple[UInt8[np.ndarray, "H W C"], tuple[int, int]]:
    """An image as a network's input, and the size (width, height) of the image as seen.

    Raises:
        DataError: a file that cannot be read.
        ImageError: one that cannot be decoded.
    """
    if isinstance(named.image, Image.Image):
        return to_pixels(named.image, preprocessing, fit), named.image.size
    data = named.image if isinstance(named.image, bytes) else read_file(named)
    try:
        return read_pixels(data, preprocessing, fit, LOCAL_LIMITS)
    except ImageError as error:
        raise type(error)(f"{named.name}: {error}") from error


def encode_image(named: NamedImage) -> bytes:
    """An image as a file: files as they are, everything else as lossless WebP, or as PNG where a side is too long for WebP.

    Raises:
        DataError: a file that cannot be read.
    """
    if isinstance(named.image, bytes):
        return named.image
    if isinstance(named.image, Path):
        return read_file(named)
    file = io.BytesIO()
    if max(named.image.size) <= MAX_WEBP_SIDE:
        named.image.save(file, "WEBP", lossless=True, method=0, quality=20)
    else:
        named.image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def read_file(named: NamedImage) -> bytes:
    """The bytes at a path.

    Raises:
        DataError: they cannot be read.
    """
    path = named.image
    assert isinstance(path, Path)
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        if path.is_dir():
            raise DataError(
                f"{path} is a folder; give the files in it, or use: ijepa embed {path} --out DIR"
            ) from error
        hint = "; this is a web address: fetch it yourself and give the bytes" if "://" in named.name else ""
        raise DataError(f"{named.name} cannot be read: {getattr(error, 'strerror', None) or error}{hint}") from error


def memory_size(named: NamedImage) -> int:
    """The bytes that an image holds before it is read: none where it is a path."""
    if isinstance(named.image, Image.Image):
        return named.image.width * named.image.height * len(named.image.getbands())
    return len(named.image) if isinstance(named.image, bytes) else 0


def _is_several(images: ImageInputs) -> bool:
    if isinstance(images, np.ndarray):
        return images.ndim == BATCH_AXES or (images.ndim == 1 and images.dtype.kind in "OU")
    if isinstance(images, (*SINGLE, Mapping)) or hasattr(images, "read"):
        return False
    return isinstance(images, Iterable)


def _check_array(array: np.ndarray, name: str) -> None:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in CHANNELS) or 0 in array.shape:
        first = array.ndim == 3 and array.shape[0] in CHANNELS
        hint = "; the channels come last: array.transpose(1, 2, 0)" if first else ""
        raise ImageError(
            f"{name}: an array of shape {list(array.shape)} is not an image; "
            f"expected [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]{hint}"
        )
    if array.dtype != np.uint8:
        raise ImageError(
            f"{name}: the array has dtype {array.dtype}, expected uint8 (0 to 255); "
            "floats from 0 to 1 become that by (array * 255).round().astype('uint8')"
        )
