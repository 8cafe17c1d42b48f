"""What a source of images is: images in a fixed order, each with an id. Training, probes and jobs read the same sources."""

import io
from collections import Counter
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from models.errors import DataError, ImageError
from models.images.decode import LOCAL_LIMITS
from models.images.preprocess import Preprocessing, read_pixels, to_pixels


class Item(NamedTuple):
    """One image of a source: its id in results, unique within the source, and where its bytes are."""

    id: str
    uri: str


@runtime_checkable
class Source(Protocol):
    """Images in a fixed order.

    `labels` is one class number an image where the source has them. `fingerprint` tells one order of images from another.
    `skipped` counts what the source holds besides, by reason.
    """

    description: str
    fingerprint: str
    labels: Int64[np.ndarray, " n"] | None
    classes: tuple[str, ...]
    skipped: Counter[str]

    def __len__(self) -> int: ...

    def item(self, index: int) -> Item:
        """The id and place of one image."""
        ...

    def read(self, index: int) -> bytes:
        """The encoded bytes of one image; a source that holds arrays gives a lossless PNG.

        Raises:
            DataError: they cannot be read.
        """
        ...

    def has(self, item_id: str) -> bool:
        """Whether an image of an earlier listing is still there, listed now or not."""
        ...

    def read_id(self, item_id: str) -> bytes:
        """The encoded bytes of an image of an earlier listing, listed now or not.

        Raises:
            DataError: it is not there any more, or cannot be read.
        """
        ...

    def open(self, index: int) -> Image.Image:
        """One image, upright, grey or RGB.

        Raises:
            DataError: it cannot be read or decoded.
        """
        ...

    def digest(self) -> str:
        """Changes with any byte of any image, and with any label. May read all files."""
        ...


class ListOptions(NamedTuple):
    """How a source is listed. With `by_suffix` a file counts as an image by its name alone, which is faster."""

    by_suffix: bool = False


BY_BYTES = ListOptions()
"""The default."""


def blocks_of(source: Source) -> Int64[np.ndarray, " b"] | None:
    """The first image of every group that is read together, such as a row group; None where each image is read alone.

    Where there are groups, images are read in order or from few groups at a time: the last ones are kept.
    """
    return getattr(source, "blocks", None)


def item_pixels(source: Source, index: int, preprocessing: Preprocessing) -> UInt8[np.ndarray, "H W C"]:
    """One image as a network's input, decoded as its preprocessing says.

    Raises:
        DataError: it cannot be read or decoded.
    """
    if preprocessing.decoding == "exact":
        return to_pixels(source.open(index), preprocessing)
    try:
        return read_pixels(source.read(index), preprocessing, limits=LOCAL_LIMITS)[0]
    except ImageError as error:
        raise DataError(f"{source.item(index).uri} cannot be read: {error}") from error


def as_png(image: Image.Image) -> bytes:
    """An image as a lossless file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
