"""WebP: the canvas, which is computed whole, however small the file and the frame in it."""

from models.images.headers.base import Header

PIXEL_SECONDS = 25e-9
PIXEL_BYTES = 17
"""The reader keeps two canvases and gives a copy; Pillow makes an image of that."""


def read_webp(data: bytes) -> Header | None:
    """The header; None where it has none."""
    size = _size(data)
    if size is None:
        return None
    pixels = size[0] * size[1]
    return Header(size, pixels * PIXEL_SECONDS, pixels * PIXEL_BYTES)


def _size(data: bytes) -> tuple[int, int] | None:
    chunk = data[12:16]
    if len(data) < 30:
        return None
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None
