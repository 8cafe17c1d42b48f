"""TIFF: tiles and strips larger than the image, directories that lie, every compression."""

import struct
from functools import partial
from typing import NamedTuple

from tests.hostile.images.base import (
    BOMB,
    BROKEN,
    COSTLY,
    LIMIT_SIDE,
    MAYBE,
    NOT_AN_IMAGE,
    READ,
    TOO_LARGE,
    HostileImage,
    encoded,
    noise,
    of_bytes,
)
from tests.hostile.images.png import zeros

LONG, LONG8 = 4, 16
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, OFFSETS, SAMPLES, ROWS, COUNTS = (
    256,
    257,
    258,
    259,
    262,
    273,
    277,
    278,
    279,
)
PLANAR, PREDICTOR, COLOURS, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, FORMAT = (
    284,
    317,
    320,
    322,
    323,
    324,
    325,
    339,
)
DEFLATE = 8
COMPRESSIONS = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    32_773,
    32_809,
    32_946,
    34_676,
    34_712,
    34_925,
    50_000,
    50_001,
    65_535,
)


class Tag(NamedTuple):
    """An entry of a directory, whose number of values may lie. `value`: what stands in its four bytes."""

    number: int
    value: int
    kind: int = LONG
    values: int = 1


def file_of(tags: list[Tag], data: bytes = b"", following: int = 0, entries: int | None = None) -> bytes:
    """A file of one directory, then `data`, which begins at `data_at` of the number of tags. `entries` may lie."""
    rows = b"".join(struct.pack("<HHII", tag.number, tag.kind, tag.values, tag.value) for tag in sorted(tags))
    count = struct.pack("<H", len(tags) if entries is None else entries)
    return b"II*\0\x08\0\0\0" + count + rows + struct.pack("<I", following) + data


def data_at(tags: int) -> int:
    """Where the data of a file of so many tags begins."""
    return 8 + 2 + 12 * tags + 4


def strip(width: int, height: int, data: bytes, **changes: int) -> bytes:
    """A grey image in one strip; changes by the name of a tag, as `COMPRESSION`."""
    values = {WIDTH: width, HEIGHT: height, BITS: 8, COMPRESSION: DEFLATE, PHOTOMETRIC: 1, SAMPLES: 1, ROWS: height}
    values |= {globals()[name]: value for name, value in changes.items()}
    values |= {COUNTS: len(data)} | ({} if OFFSETS in values else {OFFSETS: data_at(len({*values, COUNTS, OFFSETS}))})
    return file_of([Tag(number, value) for number, value in values.items()], data)


def tile_bomb(width: int, height: int, tile: tuple[int, int], data: bytes, samples: int = 1) -> bytes:
    """An image in one tile, which may be far larger."""
    values = {
        WIDTH: width,
        HEIGHT: height,
        BITS: 8,
        COMPRESSION: DEFLATE,
        PHOTOMETRIC: 2 if samples == 3 else 1,
        SAMPLES: samples,
        TILE_WIDTH: tile[0],
        TILE_HEIGHT: tile[1],
        TILE_OFFSETS: data_at(10),
        TILE_COUNTS: len(data),
    }
    return file_of([Tag(number, value) for number, value in values.items()], data)


def deflated(width: int, height: int, **changes: int) -> bytes:
    """A flat grey image that is whole."""
    return strip(width, height, zeros(width * height), **changes)


def many_strips(count: int) -> bytes:
    """So many strips, all at the same place."""
    tags = {WIDTH: 16, HEIGHT: 16, BITS: 8, COMPRESSION: 1, PHOTOMETRIC: 1, SAMPLES: 1, ROWS: 1}
    at = data_at(len(tags) + 2)
    lists = [Tag(OFFSETS, at, LONG, count), Tag(COUNTS, at + 4 * count, LONG, count)]
    data = struct.pack("<I", 8) * count + struct.pack("<I", 16) * count
    return file_of([*(Tag(number, value) for number, value in tags.items()), *lists], data)


def many_tags(count: int, size: int) -> bytes:
    """Thousands of tags that share the same bytes as their value."""
    whole = [Tag(1_000 + i, 8, 7, size) for i in range(count)]
    tags = {WIDTH: 16, HEIGHT: 16, BITS: 8, COMPRESSION: 1, PHOTOMETRIC: 1, SAMPLES: 1, ROWS: 16, COUNTS: 256}
    at = data_at(len(tags) + 1 + count)
    return file_of([*(Tag(n, v) for n, v in tags.items()), Tag(OFFSETS, at), *whole], bytes(max(256, size)))


def big(offset: int) -> bytes:
    """BigTIFF whose directory is anywhere."""
    return b"II+\0\x08\0\0\0" + struct.pack("<Q", offset)


def _cut() -> list[HostileImage]:
    good = encoded(noise(), "TIFF", compression="tiff_lzw")
    cases = [
        ("three bytes", good[:3], NOT_AN_IMAGE),
        ("four bytes", good[:4], BROKEN),
        ("eight bytes", good[:8], BROKEN),
        ("half of it", good[: len(good) // 2], BROKEN),
        ("its last byte missing", good[:-1], MAYBE),
        ("rubbish after its end", good + bytes(5000), READ),
        ("a directory beyond its end", b"II*\0\xff\xff\xff\xff", BROKEN),
        ("a directory in its header", b"II*\0\0\0\0\0" + good[8:], BROKEN),
        ("an empty directory", file_of([]), BROKEN),
        ("65,535 entries that are missing", file_of([], entries=65_535), BROKEN),
        (
            "the next directory is itself",
            strip(16, 16, zeros(256)).replace(struct.pack("<I", 0) + b"\x78", struct.pack("<I", 8) + b"\x78"),
            MAYBE,
        ),
        ("BigTIFF that is empty", big(16), BROKEN),
        ("BigTIFF beyond its end", big(2**63), BROKEN),
        ("BigTIFF at 2^64", big(2**64 - 1), BROKEN),
        ("the other order", b"MM" + good[2:], BROKEN),
    ]
    return of_bytes(cases)


def _compressions() -> list[HostileImage]:
    made = [
        HostileImage(f"compression {n}", partial(strip, 60, 40, zeros(2400), COMPRESSION=n), MAYBE)
        for n in COMPRESSIONS
    ]
    rubbish = [
        HostileImage(f"rubbish as compression {n}", partial(strip, 60, 40, bytes(range(256)) * 9, COMPRESSION=n), MAYBE)
        for n in COMPRESSIONS
    ]
    return made + rubbish


def _lies() -> list[HostileImage]:
    changes: list[tuple[dict[str, int], frozenset[int]]] = [
        ({"BITS": 0}, MAYBE),
        ({"BITS": 3}, MAYBE),
        ({"BITS": 64}, MAYBE),
        ({"BITS": 65_535}, MAYBE),
        ({"SAMPLES": 0}, MAYBE),
        ({"SAMPLES": 5}, MAYBE),
        ({"SAMPLES": 65_535}, MAYBE),
        ({"PHOTOMETRIC": 3}, MAYBE),
        ({"PHOTOMETRIC": 5}, MAYBE),
        ({"PHOTOMETRIC": 6}, MAYBE),
        ({"PHOTOMETRIC": 99}, MAYBE),
        ({"PLANAR": 2}, MAYBE),
        ({"PLANAR": 9}, MAYBE),
        ({"PREDICTOR": 2}, MAYBE),
        ({"PREDICTOR": 3}, MAYBE),
        ({"FORMAT": 3}, MAYBE),
        ({"FORMAT": 6}, MAYBE),
        ({"ROWS": 0}, MAYBE),
        ({"ROWS": 1}, MAYBE),
        ({"ROWS": 2**32 - 1}, MAYBE),
        ({"OFFSETS": 2**32 - 1}, MAYBE),
        ({"OFFSETS": 0}, MAYBE),
        ({"TILE_WIDTH": 0}, MAYBE),
        ({"TILE_HEIGHT": 2**31}, MAYBE | BOMB),
    ]
    return [
        HostileImage(
            ", ".join(f"{name} {value}" for name, value in change.items()),
            partial(deflated, 60, 40, **change),
            statuses,
        )
        for change, statuses in changes
    ]


def _sizes() -> list[HostileImage]:
    sizes = [
        (0, 0, BROKEN),
        (0, 9, BROKEN),
        (9, 0, BROKEN),
        (2**32 - 1, 2**32 - 1, BOMB),
        (2**31, 2**31, BOMB),
        (2**32 - 1, 1, BOMB),
        (1, 2**32 - 1, BOMB),
        (65_536, 1, TOO_LARGE),
        (65_535, 65_535, TOO_LARGE),
        (65_535, 762, COSTLY),
    ]
    return [
        HostileImage(f"{w} x {h} in its directory", partial(strip, w, h, zeros(99)), statuses)
        for w, h, statuses in sizes
    ]


IMAGES = [
    *_cut(),
    *_compressions(),
    *_lies(),
    *_sizes(),
    HostileImage("a tile of 32 x 16,711,712", lambda: tile_bomb(32, 32, (32, 16_711_712), zeros(14_000_000), 3), BOMB),
    HostileImage("a tile of 2^31 x 2^31", lambda: tile_bomb(32, 32, (2**31, 2**31), zeros(9000)), BOMB),
    HostileImage("a tile of 16,711,712 x 32", lambda: tile_bomb(32, 32, (16_711_712, 32), zeros(14_000_000), 3), BOMB),
    HostileImage(
        "a tile of 1.5 GB with its data",
        lambda: tile_bomb(32, 32, (32, 16_711_712), zeros(32 * 16_711_712 * 3, 1), 3),
        BOMB,
        slow=True,
    ),
    HostileImage("a tile of 48 MP", lambda: tile_bomb(32, 32, (6_928, 6_928), zeros(6_928 * 6_928)), COSTLY, slow=True),
    HostileImage("tiles of 0 x 0", lambda: tile_bomb(32, 32, (0, 0), zeros(1024)), MAYBE),
    HostileImage("tiles of 1 x 1", lambda: tile_bomb(32, 32, (1, 1), zeros(1024)), MAYBE),
    HostileImage("100,000 strips", partial(many_strips, 100_000), MAYBE),
    HostileImage("2,000,000 strips", partial(many_strips, 2_000_000), MAYBE),
    HostileImage("60,000 tags of 1 MB", partial(many_tags, 60_000, 1_000_000), MAYBE),
    HostileImage("900 tags of 1 MB", partial(many_tags, 900, 1_000_000), MAYBE),
    HostileImage("900 tags of 4 GB", lambda: file_of([Tag(30_000 + i, 8, 7, 2**32 - 1) for i in range(900)]), BROKEN),
    HostileImage("a size that is a list of 4 GB", lambda: file_of([Tag(WIDTH, 8, LONG, 2**30), Tag(HEIGHT, 9)]), BOMB),
    HostileImage("a size of 64 bits", lambda: file_of([Tag(WIDTH, 8, LONG8, 1), Tag(HEIGHT, 9)]), BOMB),
    HostileImage("unknown kinds of tags", lambda: file_of([Tag(n, 8, 99, 9) for n in range(250, 290)]), BROKEN),
    HostileImage("16 bits", lambda: encoded(noise("L").convert("I;16"), "TIFF"), READ),
    HostileImage("floats", lambda: encoded(noise("F"), "TIFF"), READ),
    HostileImage("CMYK", lambda: encoded(noise("CMYK"), "TIFF"), READ),
    HostileImage("one bit, as facsimile", lambda: encoded(noise("1"), "TIFF", compression="group4"), READ),
    HostileImage("JPEG within", lambda: encoded(noise(), "TIFF", compression="jpeg"), READ),
    HostileImage("50 MP", partial(deflated, LIMIT_SIDE, LIMIT_SIDE), COSTLY, slow=True),
    HostileImage("50 MP of one row a strip", partial(deflated, LIMIT_SIDE, LIMIT_SIDE, ROWS=1), COSTLY, slow=True),
]
