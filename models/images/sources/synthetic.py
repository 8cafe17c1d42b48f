"""`synthetic:COUNT`: images made on the spot, to try the machinery without data."""

from collections import Counter

import numpy as np
from jaxtyping import Int64
from PIL import Image

from models.errors import DataError
from models.images.sources.base import BY_BYTES, Item, ListOptions, as_png
from models.images.sources.idx import number_of, numbered_item
from models.progress import Progress, no_progress
from models.rng import Stream, uniforms


class Synthetic:
    """Grey images of a bright box on a slope; another COUNT gives other images."""

    def __init__(self, argument: str, _: ListOptions = BY_BYTES, __: Progress = no_progress) -> None:
        if not argument.isdigit() or int(argument) < 1:
            raise DataError(f"synthetic:{argument}: expected a number of images, as in synthetic:1000")
        self.count, self.side = int(argument), 32
        self.labels: Int64[np.ndarray, " n"] | None = np.arange(self.count) % 2
        self.classes: tuple[str, ...] = ("wide", "tall")
        self.description = f"{self.count:,} synthetic images"
        self.fingerprint = self.description
        self.skipped = Counter[str]()

    def __len__(self) -> int:
        return self.count

    def item(self, index: int) -> Item:
        """See `Source.item`."""
        return numbered_item(f"synthetic:{self.count}", index)

    def has(self, item_id: str) -> bool:
        """See `Source.has`."""
        return number_of(item_id, self.count) is not None

    def read_id(self, item_id: str) -> bytes:
        """See `Source.read_id`."""
        number = number_of(item_id, self.count)
        if number is None:
            raise DataError(f"synthetic:{self.count} does not have an image {item_id!r}")
        return self.read(number)

    def read(self, index: int) -> bytes:
        """See `Source.read`."""
        return as_png(self.open(index))

    def open(self, index: int) -> Image.Image:
        """See `Source.open`. Odd images have a tall box, even ones a wide box."""
        u = uniforms(0, Stream.SYNTHETIC, self.count, index, n=5)
        long, short = 8 + int(u[0] * 12), 3 + int(u[1] * 5)
        height, width = (long, short) if index % 2 else (short, long)
        top, left = int(u[2] * (self.side - height)), int(u[3] * (self.side - width))
        rows, columns = np.indices((self.side, self.side))
        pixels = (rows * u[4] + columns * (1 - u[4])) * 3
        pixels[top : top + height, left : left + width] = 220
        return Image.fromarray(pixels.astype(np.uint8))

    def digest(self) -> str:
        """See `Source.digest`."""
        return self.description
