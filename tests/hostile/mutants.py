"""Small real images with seeded damage: bits, bytes, cuts, pieces that are doubled, gone or moved, and lengths that lie."""

import functools
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.hostile.images.base import encoded, noise

LENGTHS = (0, 1, 2, 0x7F, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@functools.cache
def originals() -> dict[str, list[bytes]]:
    """Ordinary images of each format, in its usual kinds."""
    exif = Image.Exif()
    exif[274], exif[271] = 6, "maker"
    rgb, palette, other = noise(), noise("P"), Image.new("RGB", (60, 40), (9, 99, 199))
    return {
        "JPEG": [
            encoded(rgb, "JPEG", exif=exif),
            encoded(rgb, "JPEG", progressive=True),
            encoded(noise("CMYK"), "JPEG"),
            encoded(noise("L"), "JPEG", restart_marker_rows=1),
        ],
        "PNG": [
            encoded(rgb, "PNG", exif=exif),
            encoded(palette, "PNG", transparency=3),
            encoded(noise("RGBA"), "PNG"),
            encoded(noise("1"), "PNG"),
        ],
        "WEBP": [
            encoded(rgb, "WEBP"),
            encoded(rgb, "WEBP", lossless=True, exif=exif),
            encoded(noise("RGBA"), "WEBP"),
            encoded(rgb, "WEBP", save_all=True, append_images=[other]),
        ],
        "GIF": [
            encoded(palette, "GIF"),
            encoded(palette, "GIF", save_all=True, append_images=[other.convert("P")] * 3),
            encoded(palette, "GIF", interlace=True),
        ],
        "BMP": [
            encoded(rgb, "BMP"),
            encoded(palette, "BMP"),
            encoded(noise("1"), "BMP"),
            encoded(noise("RGBA"), "BMP"),
        ],
        "TIFF": [
            encoded(rgb, "TIFF", exif=exif),
            encoded(rgb, "TIFF", compression="tiff_lzw"),
            encoded(rgb, "TIFF", compression="tiff_adobe_deflate"),
            encoded(rgb, "TIFF", compression="jpeg"),
            encoded(noise("1"), "TIFF", compression="group4"),
        ],
    }


FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def mutants(name: str, count: int, seed: int = 0) -> Iterator[bytes]:
    """So many mutants of a format; the first ones are the same however many are asked for."""
    files = originals()[name]
    for number in range(count):
        rng = np.random.default_rng((seed, FORMATS.index(name), number))
        data = files[number % len(files)]
        for _ in range(int(rng.integers(1, 4))):
            data = damaged(data, rng)
        yield data


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """With one kind of damage. Half of it is near the start, where headers are."""
    if len(data) < 8:
        return data + bytes(8)
    end = min(len(data), 200) if rng.random() < 0.5 else len(data)
    at = int(rng.integers(0, end))
    size = int(rng.integers(1, max(2, len(data) // 4)))
    piece = data[at : at + size]
    kind = int(rng.integers(0, 7))
    if kind == 0:
        changed = bytearray(data)
        for place in rng.integers(0, end, int(rng.integers(1, 9))):
            changed[place] ^= 1 << int(rng.integers(0, 8))
        return bytes(changed)
    if kind == 1:
        return data[:at] + rng.bytes(min(size, 16)) + data[at + min(size, 16) :]
    if kind == 2:
        return data[: max(1, at)]
    if kind == 3:
        return data[:at] + piece * int(rng.integers(2, 50)) + data[at + size :]
    if kind == 4:
        return data[:at] + data[at + size :]
    if kind == 5:
        rest = data[:at] + data[at + size :]
        place = int(rng.integers(0, len(rest) + 1))
        return rest[:place] + piece + rest[place:]
    width = int(rng.choice((2, 4)))
    value = int(rng.choice(LENGTHS)) & (2 ** (8 * width) - 1)
    return data[:at] + value.to_bytes(width, "big" if rng.random() < 0.5 else "little") + data[at + width :]
