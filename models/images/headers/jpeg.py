"""JPEG: segments, then scans. A progressive one is decoded as often as it has scans, whatever these add."""

import re
from collections.abc import Callable

from models.errors import BrokenImageError
from models.images.headers.base import MAX_PARTS, Header, read_directory

MAX_SCANS = 100
"""Scans of an image. Encoders make 10; a script that sends every bit of every band on its own would need some more."""

MAX_JUNK = 65_536
"""Bytes between segments: fill bytes, and what readers skip."""

BYTE_SECONDS = 6e-9
PIXEL_SECONDS = 6e-9
SCAN_SECONDS = 0.75e-9
"""Of a byte of the file, of a pixel that is computed, and of a pixel in a scan of several."""

_SOS, _EOI, _APP1 = 0xDA, 0xD9, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xDA)))
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_NOT_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_EXIF = b"Exif\0\0"


def read_jpeg(data: bytes, scale_of: Callable[[tuple[int, int]], int] | None = None) -> Header | None:
    """The header, for an image that is decoded at the scale that `scale_of` its size is; None where it has no frame or no scan.

    Raises:
        BrokenImageError: more segments, bytes between them or scans than allowed, or EXIF that would be read again and again.
    """
    at, parts, junk, progressive = 2, 0, 0, False
    frame, exif = b"", list[bytes]()
    while True:
        marker = _MARKER.search(data, at)
        if marker is None:
            return None
        parts, junk = parts + 1, junk + marker.start() - at
        if parts > MAX_PARTS:
            raise BrokenImageError(f"this JPEG has more than {MAX_PARTS:,} segments before its pixels")
        if junk > MAX_JUNK:
            raise BrokenImageError(f"this JPEG has more than {MAX_JUNK:,} bytes between its segments")
        at, code = marker.end(), data[marker.end() - 1]
        if code == _SOS:
            break
        if code in _WITHOUT_LENGTH:
            continue
        if code in _FRAMES:
            frame, progressive = data[at : at + 20], code in _PROGRESSIVE
        elif code == _APP1 and data.startswith(_EXIF, at + 2):
            exif.append(data[at + 8 : at + int.from_bytes(data[at : at + 2], "big")])
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
    if len(frame) < 8 or len(data) < at + 3:
        return None
    if exif:
        read_directory(b"".join(exif), "JPEG's EXIF")
    height, width, components = int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[5:7], "big"), frame[7]
    scans = _scans(data, at - 2) if progressive or data[at + 2] < components else 1
    if scans > MAX_SCANS:
        raise BrokenImageError(f"this JPEG has {scans:,} scans, {MAX_SCANS} are allowed")
    pixels = width * height
    computed = pixels / (scale_of((width, height)) if scale_of and pixels else 1) ** 2
    seconds = len(data) * BYTE_SECONDS + computed * PIXEL_SECONDS + (pixels * scans * SCAN_SECONDS if scans > 1 else 0)
    coefficients = 2 * _samples(frame) * pixels if scans > 1 else 0
    return Header((width, height), seconds, 8 * computed + coefficients)


def _samples(frame: bytes) -> float:
    """Values of a pixel, where some components are stored at a lower resolution."""
    factors = [(factor >> 4) * (factor & 15) for factor in frame[9::3]]
    return sum(factors) / max(1, *factors) if factors else 1


def _scans(data: bytes, start: int) -> int:
    """Scans from the first one on. The two bytes of a scan's marker may be in other segments too, or after the image."""
    most = data.count(b"\xff\xda", start)
    if most <= MAX_SCANS:
        return most
    scans, at = 0, start
    while (marker := _NOT_IN_SCAN.search(data, at)) is not None:
        at, code = marker.end(), data[marker.end() - 1]
        if code == _EOI:
            break
        scans += code == _SOS
        if code not in _WITHOUT_LENGTH:
            at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return scans
