"""What a header says of an image, and what decoding it is going to cost."""

import struct
from typing import NamedTuple

from models.errors import BrokenImageError

HEAVY_SECONDS = 0.25
"""CPU seconds of decoding above which an image is heavy: twice what 12 megapixels of a photograph take as a JPEG."""

HEAVY_BYTES = 160_000_000
"""Memory of decoding above which an image is heavy: 12 megapixels of a progressive JPEG stay below it, turned by its EXIF too."""

MAX_PARTS = 1000
"""Segments, chunks or extension blocks of a file that do not hold pixels. Photographs with all their metadata have some hundred."""

MAX_TAGS = 1000
"""Tags of a TIFF directory or of EXIF. Those of cameras and of geodata have less than a hundred."""

MAX_TAG_BYTES = 16_000_000
"""Data of the tags of a directory, where the file has less: a little damage to it is common, and harmless."""


class HeavyImage(Exception):
    """An image that costs much, by its header, where only those that cost little are decoded. `seconds` is the estimate."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"decoding this image takes about {seconds:.2f} s")
        self.seconds = seconds


class Header(NamedTuple):
    """The size (width, height), about how many CPU seconds and bytes of memory decoding takes at its peak, and the tile.

    `tile` is what is decoded in one piece whatever the image's size. The estimates were fitted to photographs on one machine:
    they tell cheap images from costly ones, no more.
    """

    size: tuple[int, int]
    seconds: float
    memory: float
    tile: tuple[int, int] = (0, 0)

    @property
    def heavy(self) -> bool:
        """Whether decoding takes more than should be done between other images."""
        return self.seconds > HEAVY_SECONDS or self.memory > HEAVY_BYTES


class Directory(NamedTuple):
    """The first directory of a TIFF: the largest value of each tag that holds an integer, and the number of values of each tag."""

    values: dict[int, int]
    counts: dict[int, int]


_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""TIFF's types: what `struct` calls the integers, and the bytes of a value of each."""


def read_directory(data: bytes, name: str) -> Directory | None:
    """The first directory of a TIFF, or of EXIF, which is one; None where there is none. `name` is that of the format.

    Raises:
        BrokenImageError: more tags than `MAX_TAGS`, or tags that share their data, each of which would be read.
    """
    order, big = "<" if data[:2] == b"II" else ">", 43 in data[2:4]
    entry = struct.Struct(order + ("HHQ8s" if big else "HHI4s"))
    start, width = (16, 8) if big else (8, 4)
    if len(data) < start:
        return None
    offset = int.from_bytes(data[start - width : start], "little" if order == "<" else "big")
    count_width = 8 if big else 2
    count = int.from_bytes(data[offset : offset + count_width], "little" if order == "<" else "big")
    if count > MAX_TAGS:
        raise BrokenImageError(f"this {name} has {count:,} tags in a directory, {MAX_TAGS:,} are allowed")
    values: dict[int, int] = {}
    counts: dict[int, int] = {}
    total, at = 0, offset + count_width
    for _ in range(count):
        if at + entry.size > len(data):
            break
        tag, kind, number, inline = entry.unpack_from(data, at)
        at += entry.size
        size = number * _WIDTHS.get(kind, 0)
        if size > width:
            where = int.from_bytes(inline, "little" if order == "<" else "big")
            total += min(size, max(0, len(data) - where))
            inline = data[where : where + 8]
        if kind in _INTEGERS and size and len(inline) >= _WIDTHS[kind]:
            (value,) = struct.unpack_from(order + _INTEGERS[kind], inline)
            values[tag] = max(value, values.get(tag, 0))
        counts[tag] = max(number, counts.get(tag, 0))
    if total > max(MAX_TAG_BYTES, len(data)):
        raise BrokenImageError(
            f"the tags of this {name} have {total:,} bytes of data, its {len(data):,} bytes are read many times"
        )
    return Directory(values, counts)
