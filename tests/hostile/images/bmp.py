"""BMP: negative and huge sizes, run lengths, masks and palettes that lie."""

import struct
from functools import partial

from tests.hostile.images.base import (
    BOMB,
    BROKEN,
    COSTLY,
    LIMIT_SIDE,
    MAYBE,
    NOT_AN_IMAGE,
    READ,
    HostileImage,
    encoded,
    noise,
    of_bytes,
)

RAW, RUNS_OF_8, RUNS_OF_4, MASKS = 0, 1, 2, 3
INFO = 40


def bmp(
    width: int,
    height: int,
    data: bytes = b"",
    *,
    bits: int = 24,
    compression: int = RAW,
    colours: int = 0,
    header: int = INFO,
    offset: int | None = None,
    planes: int = 1,
) -> bytes:
    """A file; every field of its header may lie."""
    info = struct.pack("<IiiHHIIiiII", header, width, height, planes, bits, compression, len(data), 1, 1, colours, 0)
    start = 14 + len(info) if offset is None else offset
    return b"BM" + struct.pack("<IHHI", 14 + len(info) + len(data), 0, 0, start) + info + data


def runs(width: int, height: int, codes: bytes, bits: int = 8) -> bytes:
    """A palette image of run lengths."""
    data = bytes(4 << bits) + codes
    kind = RUNS_OF_8 if bits == 8 else RUNS_OF_4
    return bmp(width, height, data, bits=bits, compression=kind, offset=54 + (4 << bits))


def _cut() -> list[HostileImage]:
    good = encoded(noise(), "BMP")
    cases = [
        ("one byte", good[:1], NOT_AN_IMAGE),
        ("two bytes", good[:2], BROKEN),
        ("fourteen bytes", good[:14], BROKEN),
        ("thirty bytes", good[:30], BROKEN),
        ("no data", good[:54], BROKEN),
        ("half of it", good[: len(good) // 2], BROKEN),
        ("its last byte missing", good[:-1], MAYBE),
        ("rubbish after its end", good + bytes(5000), READ),
        ("an old header", b"BM" + struct.pack("<IHHIIHHHH", 26, 0, 0, 26, 12, 9, 9, 1, 24) + bytes(300), READ),
        (
            "an old header of 65,535 x 65,535",
            b"BM" + struct.pack("<IHHIIHHHH", 26, 0, 0, 26, 12, 65_535, 65_535, 1, 24),
            BOMB,
        ),
        ("an old header that is cut short", b"BM" + struct.pack("<IHHII", 26, 0, 0, 26, 12), BROKEN),
    ]
    return of_bytes(cases)


def _sizes() -> list[HostileImage]:
    sizes = [
        (0, 0, BROKEN),
        (0, 9, BROKEN),
        (9, 0, BROKEN),
        (-9, 9, BOMB),
        (-1, -1, BOMB),
        (2**31 - 1, 2**31 - 1, BOMB),
        (2**31 - 1, 1, BOMB),
        (1, 2**31 - 1, BOMB),
        (1, -(2**31), BOMB),
        (-(2**31), -(2**31), BOMB),
        (-(2**31), 1, BOMB),
        (9, -9, READ),
        (65_536, 1, BOMB),
        (65_535, 762, COSTLY),
        (LIMIT_SIDE, -LIMIT_SIDE, COSTLY),
    ]
    return [
        HostileImage(f"{w} x {h} in its header", partial(bmp, w, h, bytes(300)), statuses) for w, h, statuses in sizes
    ]


def _fields() -> list[HostileImage]:
    def made(name: str, statuses: frozenset[int] = MAYBE, **fields: int) -> HostileImage:
        return HostileImage(name, partial(bmp, 9, 9, bytes(2000), **fields), statuses)

    return [
        *(made(f"{bits} bits", bits=bits) for bits in (0, 1, 2, 3, 4, 8, 15, 16, 24, 31, 32, 64, 65_535)),
        *(made(f"compression {kind}", compression=kind) for kind in (1, 2, 3, 4, 5, 6, 11, 12, 13, 99, 2**32 - 1)),
        *(
            made(f"a header of {size} bytes", header=size)
            for size in (0, 1, 12, 16, 39, 52, 56, 64, 108, 124, 2**31, 2**32 - 1)
        ),
        *(made(f"{count} colours of 8 bits", bits=8, colours=count) for count in (1, 257, 65_536, 2**31, 2**32 - 1)),
        *(made(f"its data at {offset}", offset=offset) for offset in (0, 10, 54, 5000, 2**31, 2**32 - 1)),
        made("0 planes", planes=0),
        made("65,535 planes", planes=65_535),
        made("masks of 16 bits that are 0", bits=16, compression=MASKS),
        made("masks of 32 bits that are 0", bits=32, compression=MASKS),
    ]


IMAGES = [
    *_cut(),
    *_sizes(),
    *_fields(),
    HostileImage("runs that end at 1", lambda: runs(60, 40, b"\0\1"), MAYBE),
    HostileImage("runs of 0", lambda: runs(60, 40, b"\0\0" * 5000), MAYBE),
    HostileImage("runs of 255", lambda: runs(60, 40, b"\xff\0" * 5000), MAYBE),
    HostileImage("runs that move outside", lambda: runs(60, 40, b"\0\2\xff\xff" * 5000), MAYBE),
    HostileImage("runs that are cut short", lambda: runs(60, 40, b"\0\xff"), MAYBE),
    HostileImage("runs of 4 bits", lambda: runs(60, 40, b"\xff\x11" * 500, 4), MAYBE),
    HostileImage("runs of 18 MB", lambda: runs(7000, 7000, b"\1\0" * 9_000_000), COSTLY, slow=True),
    HostileImage("runs of 18 MB that do nothing", lambda: runs(60, 40, b"\0\2\0\0" * 4_500_000), MAYBE, slow=True),
    HostileImage(
        "50 MP in 30 kB of runs", lambda: runs(LIMIT_SIDE, LIMIT_SIDE, b"\0\2\xff\xff" * 7000), COSTLY, slow=True
    ),
    HostileImage(
        "50 MP in 400 kB of runs", lambda: runs(LIMIT_SIDE, LIMIT_SIDE, b"\xff\0" * 196_079), COSTLY, slow=True
    ),
    HostileImage(
        "50 MP of one bit",
        lambda: bmp(LIMIT_SIDE, LIMIT_SIDE, bytes(8 + 888 * LIMIT_SIDE), bits=1, offset=62),
        COSTLY,
        slow=True,
    ),
]
