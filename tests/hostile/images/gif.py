"""GIF: canvases and frames of any size, codes without end, blocks without end."""

import struct
from functools import partial

from PIL import Image

from tests.hostile.images.base import (
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

PALETTE_OF_TWO = 0x80
DOT = b"\x02\x02\x44\x01\0"
"""The codes of one pixel: clear, colour 0, end."""
END = b";"


def screen(width: int, height: int, flags: int = PALETTE_OF_TWO) -> bytes:
    """Signature, size, palette of two colours."""
    return b"GIF89a" + struct.pack("<HHBBB", width, height, flags, 0, 0) + bytes(6)


def frame(x: int, y: int, width: int, height: int, codes: bytes = DOT, flags: int = 0) -> bytes:
    """A frame at a place."""
    return b"," + struct.pack("<HHHHB", x, y, width, height, flags) + codes


def extension(label: int, blocks: list[bytes]) -> bytes:
    """An extension of blocks."""
    return bytes((0x21, label)) + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def large(side: int) -> bytes:
    """A flat image."""
    return encoded(Image.new("L", (side, side)), "GIF")


def _cut() -> list[HostileImage]:
    good = encoded(noise("P"), "GIF")
    dot = frame(0, 0, 1, 1)
    cases = [
        ("four bytes", good[:4], NOT_AN_IMAGE),
        ("six bytes", good[:6], BROKEN),
        ("ten bytes", good[:10], BROKEN),
        ("twenty bytes", good[:20], BROKEN),
        ("half of it", good[: len(good) // 2], MAYBE),
        ("no end", good[:-1], MAYBE),
        ("rubbish after its end", good + bytes(5000), READ),
        ("no frame", screen(9, 9) + END, BROKEN),
        ("nothing", screen(9, 9), BROKEN),
        ("frames that end in their header", screen(9, 9) + dot[:5], BROKEN),
        ("100,000 frames", screen(1, 1) + dot * 100_000 + END, MAYBE),
        ("frames with no codes", screen(9, 9) + frame(0, 0, 9, 9, b"\x02\0") + END, MAYBE),
        ("rubbish between blocks", screen(9, 9) + bytes(100_000) + dot + END, MAYBE),
        ("10,000,000 bytes between blocks", screen(1, 1) + b"\1" * 10_000_000 + dot + END, MAYBE),
        ("a comment of 15 MB", screen(1, 1) + extension(0xFE, [bytes(255)] * 60_000) + dot + END, MAYBE),
        ("100,000 comments", screen(1, 1) + extension(0xFE, [b"x"]) * 100_000 + dot + END, MAYBE),
        ("1,000,000 empty extensions", screen(1, 1) + extension(0xF9, []) * 1_000_000 + dot + END, MAYBE),
        ("controls that are too short", screen(1, 1) + extension(0xF9, [b"x"]) + dot + END, MAYBE),
        ("loops that are cut short", screen(1, 1) + extension(0xFF, [b"NETSCAPE2.0", b"\1"]) + dot + END, MAYBE),
        ("a comment without end", screen(1, 1) + b"\x21\xfe" + b"\xff" + bytes(90), BROKEN),
        ("transparent colour 255", screen(1, 1) + extension(0xF9, [b"\1\0\0\xff"]) + dot + END, MAYBE),
        ("a palette that is cut short", b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0x87, 0, 0) + bytes(9), BROKEN),
        ("no palette", screen(1, 1, 0)[:13] + dot + END, MAYBE),
    ]
    return of_bytes(cases)


def _sizes() -> list[HostileImage]:
    screens = [
        (0, 0, MAYBE),
        (0, 9, MAYBE),
        (9, 0, MAYBE),
        (65_535, 65_535, TOO_LARGE),
        (65_535, 1, MAYBE),
        (1, 65_535, MAYBE),
    ]
    frames = [
        (0, 0, 0, 0, MAYBE),
        (0, 0, 65_535, 65_535, TOO_LARGE | BROKEN),
        (65_535, 65_535, 65_535, 65_535, TOO_LARGE | BROKEN),
        (65_535, 0, 1, 1, MAYBE | TOO_LARGE),
        (5, 5, 9, 9, MAYBE),
        (0, 0, 9, 9, MAYBE),
        (0, 0, LIMIT_SIDE, LIMIT_SIDE, COSTLY),
    ]
    return [
        *(
            HostileImage(f"a canvas of {w} x {h}", partial(bytes, screen(w, h) + frame(0, 0, 1, 1) + END), statuses)
            for w, h, statuses in screens
        ),
        *(
            HostileImage(
                f"a frame of {w} x {h} at {x}, {y}", partial(bytes, screen(9, 9) + frame(x, y, w, h) + END), statuses
            )
            for x, y, w, h, statuses in frames
        ),
    ]


def _codes() -> list[HostileImage]:
    return [
        HostileImage(
            f"codes of {bits} bits",
            partial(
                bytes,
                screen(60, 40) + frame(0, 0, 60, 40, bytes([bits]) + (b"\xff" + bytes(range(255))) * 9 + b"\0") + END,
            ),
            MAYBE,
        )
        for bits in (0, 1, 2, 8, 9, 11, 12, 13, 255)
    ]


IMAGES = [
    *_cut(),
    *_sizes(),
    *_codes(),
    HostileImage("interlaced", lambda: screen(60, 40) + frame(0, 0, 60, 40, DOT, 0x40) + END, MAYBE),
    HostileImage(
        "one pixel on 50 MP", lambda: screen(LIMIT_SIDE, LIMIT_SIDE) + frame(0, 0, 1, 1) + END, COSTLY, slow=True
    ),
    HostileImage("50 MP", partial(large, LIMIT_SIDE), COSTLY, slow=True),
]
