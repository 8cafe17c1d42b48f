"""GIF: the screen, extensions, then a frame, which may be larger than the screen."""

from models.errors import BrokenImageError
from models.images.headers.base import MAX_PARTS, Header

PIXEL_SECONDS = 10e-9
MAX_BLOCKS = 10 * MAX_PARTS
"""Blocks of 255 bytes of extensions before the first frame."""

_EXTENSION, _FRAME = 0x21, 0x2C


def read_gif(data: bytes) -> Header | None:
    """The header, of the first frame; None where it has none.

    Raises:
        BrokenImageError: more blocks of extensions than allowed.
    """
    if len(data) < 13:
        return None
    width, height = _u16(data, 6), _u16(data, 8)
    at, blocks = 13 + _palette(data[10]), 0
    while at < len(data) and data[at] != _FRAME:
        blocks += 1
        if data[at] != _EXTENSION:
            at += 1
        else:
            at += 2
            while at < len(data) and data[at]:
                blocks, at = blocks + 1, at + 1 + data[at]
                if blocks > MAX_BLOCKS:
                    break
            at += 1
        if blocks > MAX_BLOCKS:
            raise BrokenImageError(f"this GIF has more than {MAX_BLOCKS:,} blocks before its pixels")
    if at + 10 > len(data):
        return None
    width = max(width, _u16(data, at + 1) + _u16(data, at + 5))
    height = max(height, _u16(data, at + 3) + _u16(data, at + 7))
    return Header((width, height), width * height * PIXEL_SECONDS, width * height * 10)


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _palette(flags: int) -> int:
    """Bytes of the palette that follows."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
