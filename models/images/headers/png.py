"""PNG: a list of chunks. Those with text and colour profiles are compressed, and Pillow limits each of them but not their number."""

import struct

from models.errors import BrokenImageError
from models.images.headers.base import MAX_PARTS, Header

MIN_IDAT = 1024
"""Bytes that a chunk of pixels has on the average, where there are many: encoders write 4096 and more."""

PIXEL_SECONDS = 5e-9
SAMPLE_SECONDS = 6e-9
INTERLACED = 1.5
"""Of a pixel, of each byte of it, and the factor where it is interlaced."""

_CHUNK = struct.Struct(">I4s")
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def read_png(data: bytes) -> Header | None:
    """The header; None where it has none.

    Raises:
        BrokenImageError: more chunks than allowed, or a second colour profile.
    """
    at, pixel_parts, parts, profiles, header = 8, 0, 0, 0, b""
    most = MAX_PARTS + len(data) // MIN_IDAT
    while at + 8 <= len(data):
        length, name = _CHUNK.unpack_from(data, at)
        if name == b"IDAT":
            pixel_parts += 1
        else:
            parts += 1
            profiles += name == b"iCCP"
            if name == b"IHDR" and not pixel_parts:  # a later one says nothing of the pixels
                header = data[at + 8 : at + 21]
        if pixel_parts > most or parts > MAX_PARTS:
            raise BrokenImageError(f"this PNG has more than {most if pixel_parts > most else MAX_PARTS:,} chunks")
        if profiles > 1:
            raise BrokenImageError("this PNG has more than one colour profile (iCCP)")
        if name == b"IEND":
            break
        at += length + 12
    if len(header) < 13:
        return None
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    samples = _SAMPLES.get(colour, 4) * max(1, depth / 8)
    seconds = width * height * (PIXEL_SECONDS + SAMPLE_SECONDS * samples) * (INTERLACED if interlaced else 1)
    return Header((width, height), seconds, width * height * (12 if depth == 16 or colour in (3, 4, 6) else 8))
