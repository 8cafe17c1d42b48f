"""`idx:FILE`: grey images in memory, from an idx file with its labels beside it."""

import gzip
import hashlib
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from models.errors import DataError
from models.images import storage
from models.images.sources.base import BY_BYTES, Item, ListOptions, as_png
from models.images.sources.labels import NO_LABELS, labels_of_numbers
from models.progress import Progress, no_progress

ID_DIGITS = 8
MAX_IDX_BYTES = 2**32
"""Of an idx file, decompressed: it is held in memory."""


class Arrays:
    """Grey images in memory. Ids are their numbers; `uri` names the source."""

    def __init__(
        self,
        pixels: UInt8[np.ndarray, "n H W"],
        labels: Int64[np.ndarray, " n"] | None,
        classes: tuple[str, ...],
        description: str,
        uri: str,
    ) -> None:
        self.pixels, self.labels, self.classes, self.description = pixels, labels, classes, description
        self.uri, self.skipped = uri, Counter[str]()
        self.fingerprint = hashlib.sha256(pixels.tobytes()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.pixels)

    def item(self, index: int) -> Item:
        """See `Source.item`."""
        return numbered_item(self.uri, index)

    def read(self, index: int) -> bytes:
        """See `Source.read`."""
        return as_png(self.open(index))

    def has(self, item_id: str) -> bool:
        """See `Source.has`."""
        return number_of(item_id, len(self)) is not None

    def read_id(self, item_id: str) -> bytes:
        """See `Source.read_id`."""
        number = number_of(item_id, len(self))
        if number is None:
            raise DataError(f"{self.uri} does not have an image {item_id!r}")
        return self.read(number)

    def open(self, index: int) -> Image.Image:
        """See `Source.open`."""
        return Image.fromarray(self.pixels[index])

    def digest(self) -> str:
        """See `Source.digest`."""
        labels = b"" if self.labels is None else self.labels.tobytes()
        return self.fingerprint + hashlib.sha256(labels + "\n".join(self.classes).encode()).hexdigest()


def numbered_item(uri: str, index: int) -> Item:
    """The item of an image that has a number and no name. Ids sort like numbers, and are the same when images are added."""
    number = f"{index:0{ID_DIGITS}d}"
    return Item(number, f"{uri}#{number}")


def number_of(item_id: str, count: int) -> int | None:
    """The index of the image with an id, of any width, among `count` images; None where there is no such image."""
    return int(item_id) if item_id.isdecimal() and int(item_id) < count else None


def open_idx(argument: str, _: ListOptions = BY_BYTES, __: Progress = no_progress) -> Arrays:
    """An idx file of images (`...-images-idx3-ubyte`, gzipped or not), with the labels file beside it where there is one."""
    name, shown = storage.name_of(argument), storage.shown_place(argument)
    pixels = read_idx(argument)
    if pixels.ndim != 3:
        raise DataError(f"{shown} holds an array of shape {pixels.shape}, not images by height by width")
    beside = storage.join(storage.parent_of(argument), name.replace("images", "labels").replace("idx3", "idx1"))
    labels = read_idx(beside).astype(np.int64) if storage.name_of(beside) != name and storage.exists(beside) else None
    if labels is not None and labels.shape != pixels.shape[:1]:
        raise DataError(
            f"{beside} has labels of shape {labels.shape}, {shown} {len(pixels):,} images: one belongs to each"
        )
    numbers, classes = NO_LABELS if labels is None else labels_of_numbers(labels, ())
    return Arrays(pixels, numbers, classes, f"{len(pixels):,} images of {name}", f"idx:{shown}")


def read_idx(path: Path | str) -> UInt8[np.ndarray, "..."]:
    """An idx file of bytes, gzipped or not (the format is described with the original MNIST).

    Raises:
        DataError: no such file, another type of number, or too few bytes.
    """
    with storage.open_file(str(path), storage.STREAM_BYTES) as file:
        try:
            raw = (gzip.GzipFile(fileobj=file) if str(path).endswith(".gz") else file).read(MAX_IDX_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
    if len(raw) > MAX_IDX_BYTES:
        raise DataError(f"{path} has more than {MAX_IDX_BYTES:,} bytes (decompressed), which do not go into memory")
    dimensions = raw[3] if len(raw) > 3 and raw[:3] == b"\0\0\x08" and len(raw) >= 4 + 4 * raw[3] else 0
    shape = tuple(int.from_bytes(raw[4 + 4 * i : 8 + 4 * i]) for i in range(dimensions))
    body = raw[4 + 4 * dimensions :]
    if not dimensions or len(body) != np.prod(shape):
        raise DataError(f"{path} is not a complete idx file of bytes")
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)
