"""A source of encoded images that have ids and places: what archives, tables, lists and stores have in common."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64
from PIL import Image

from models.errors import DataError, ImageError
from models.images import storage
from models.images.decode import LOCAL_LIMITS, decode
from models.images.sources.base import Item
from models.images.sources.labels import NO_LABELS, Labels
from models.images.sources.strings import Strings

MAX_IMAGE_BYTES = 2**28
"""Of one image in an archive, a table or a line, as stated and as decompressed."""


REPEATED, HIDDEN = "images with an id that another has", "hidden files"
"""Reasons of `Source.skipped`."""


@runtime_checkable
class Ids(Protocol):
    """The ids of images in order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> str: ...

    def find(self, text: str, /) -> int | None:
        """The index of an id; None where there is no such image."""
        ...


@runtime_checkable
class Places(Protocol):
    """Where the bytes of images are. Both methods are called from several threads."""

    def uri(self, index: int) -> str:
        """The place of one image, as results show it."""
        ...

    def read(self, index: int) -> bytes:
        """The bytes of one image.

        Raises:
            DataError: they cannot be read.
        """
        ...


class EncodedImages:
    """Images by id and place.

    `blocks` has the index of the first image of every group that is read together, such as a row group; None where each image
    is read alone. `digest` is called for the digest of all bytes.
    """

    def __init__(
        self,
        ids: Ids,
        places: Places,
        description: str,
        digest: Callable[[], str],
        labels: Labels = NO_LABELS,
        skipped: Counter[str] | None = None,
        fingerprint: str = "",
        blocks: Int64[np.ndarray, " b"] | None = None,
    ) -> None:
        self.ids, self.places, self.description = ids, places, f"{len(ids):,} images of {description}"
        self.labels, self.classes = labels
        self.skipped = Counter[str]() if skipped is None else skipped
        self.fingerprint = fingerprint or fingerprint_of(ids)
        self.blocks, self._digest = blocks, digest

    def __len__(self) -> int:
        return len(self.ids)

    def item(self, index: int) -> Item:
        """See `Source.item`."""
        return Item(self.ids[index], self.places.uri(index))

    def read(self, index: int) -> bytes:
        """See `Source.read`."""
        return self.places.read(index)

    def has(self, item_id: str) -> bool:
        """See `Source.has`."""
        return self.ids.find(item_id) is not None

    def read_id(self, item_id: str) -> bytes:
        """See `Source.read_id`."""
        index = self.ids.find(item_id)
        if index is None:
            raise DataError("the image is not in its source any more, or may not be read")
        return self.read(index)

    def open(self, index: int) -> Image.Image:
        """See `Source.open`."""
        try:
            return decode(self.read(index), LOCAL_LIMITS)
        except ImageError as error:
            raise DataError(f"{self.places.uri(index)} cannot be read: {error}") from error

    def digest(self) -> str:
        """See `Source.digest`."""
        return hashlib.sha256(f"{self.fingerprint} {self._digest()}".encode()).hexdigest()


def fingerprint_of(ids: Ids) -> str:
    """A digest of ids in their order."""
    if isinstance(ids, Strings):
        return hashlib.sha256(ids.content + ids.ends.tobytes()).hexdigest()[:16]
    return hashlib.sha256("\n".join(ids[i] for i in range(len(ids))).encode()).hexdigest()[:16]


def digest_of_files(places: Sequence[str]) -> str:
    """A digest of all bytes of some files, in order.

    Raises:
        DataError: one cannot be read.
    """
    whole = hashlib.sha256()
    for place in places:
        whole.update(storage.digest_of(place).encode())
    return whole.hexdigest()


def check_image_bytes(size: int, uri: str) -> None:
    """Check the stated size of an image before it is read.

    Raises:
        DataError: it has more than `MAX_IMAGE_BYTES`.
    """
    if size > MAX_IMAGE_BYTES:
        raise DataError(f"{uri} has {size:,} bytes, an image may have {MAX_IMAGE_BYTES:,}")


def without_repeated(ids: Strings, skipped: Counter[str]) -> Int64[np.ndarray, " m"]:
    """The indices of images whose id no earlier one has; the others are counted."""
    kept = ids.first_of_each()
    skipped += Counter({REPEATED: len(ids) - len(kept)})
    return kept


def no_images(place: str, skipped: Counter[str]) -> DataError:
    """The error of a source without images, which says what it holds."""
    others = ", ".join(f"{count} {what}" for what, count in sorted(skipped.items())) or "nothing"
    return DataError(f"no images in {place!r}; it holds {others}")
