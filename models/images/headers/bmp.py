"""BMP: Pillow decodes its run lengths in Python."""

from models.images.headers.base import Header

PIXEL_SECONDS = 6e-9
RUN_SECONDS = 0.5e-6
"""Of a pixel, and of a byte of run lengths."""

_RUN_LENGTHS = (1, 2)


def read_bmp(data: bytes) -> Header | None:
    """The header; None where it has none."""
    if len(data) < 34:
        return None
    if int.from_bytes(data[14:18], "little") == 12:
        width, height, runs = int.from_bytes(data[18:20], "little"), int.from_bytes(data[20:22], "little"), False
    else:
        width, height = abs(_i32(data, 18)), abs(_i32(data, 22))
        runs = _i32(data, 30) in _RUN_LENGTHS
    pixels = width * height
    return Header((width, height), pixels * PIXEL_SECONDS + len(data) * RUN_SECONDS * runs, pixels * 8)


def _i32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little", signed=True)
