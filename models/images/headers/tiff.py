"""TIFF: a directory of tags. Tiles are decoded whole, and may be larger than the image."""

from models.errors import BrokenImageError
from models.images.headers.base import Header, read_directory

PIXEL_SECONDS = 5e-9
SAMPLE_SECONDS = 3.5e-9
PART_SECONDS = 10e-6
"""Of a pixel, of a byte of a compressed one, and of a strip or tile."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _ROWS = 256, 257, 258, 259, 277, 278
_STRIPS, _TILE_WIDTH, _TILE_HEIGHT, _TILES = 273, 322, 323, 324


def read_tiff(data: bytes) -> Header | None:
    """The header of the first page; None where it has none.

    Raises:
        BrokenImageError: more tags, or data of tags, than allowed, or more strips or tiles than the image can have.
    """
    directory = read_directory(data, "TIFF")
    if directory is None or not {_WIDTH, _HEIGHT} <= directory.values.keys():
        return None
    values, counts = directory
    width, height = values[_WIDTH], values[_HEIGHT]
    samples = max(1, values.get(_SAMPLES, 1))
    tile = (
        (values.get(_TILE_WIDTH, 0), values.get(_TILE_HEIGHT, 0))
        if _TILES in counts or _TILE_WIDTH in counts
        else (0, 0)
    )
    part_width, part_height = tile if all(tile) else (width, values.get(_ROWS, height))
    most = samples * _parts(width, part_width) * _parts(height, part_height)
    parts = max(counts.get(_STRIPS, 0), counts.get(_TILES, 0))
    if parts > max(most, samples * height):
        raise BrokenImageError(f"this TIFF lists {parts:,} strips or tiles, its size allows {most:,}")
    pixels = max(width * height, tile[0] * tile[1])
    sample_bytes = max(1, values.get(_BITS, 1) / 8) * samples
    compressed = values.get(_COMPRESSION, 1) != 1
    seconds = pixels * (PIXEL_SECONDS + SAMPLE_SECONDS * sample_bytes * compressed) + parts * PART_SECONDS
    return Header((width, height), seconds, pixels * (8 + sample_bytes), tile)


def _parts(side: int, part: int) -> int:
    return -(-side // max(1, part))
