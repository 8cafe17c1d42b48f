"""Small files that cost much, written byte by byte."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encoded(image, name="PNG", **options):
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def noise(width, height, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def tiff(tags, body=b"\0" * 64, big=False):
    """A TIFF with `tags`, (number, type, count, value or offset) each."""
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if big else struct.pack("<2sHI", b"II", 42, 8)
    entry, count = ("<HHQQ", "<Q") if big else ("<HHII", "<H")
    directory = b"".join(struct.pack(entry, *tag) for tag in sorted(tags))
    return head + struct.pack(count, len(tags)) + directory + b"\0" * 8 + body


def tile_bomb(width=32, height=16_711_712, big=False):
    """An image of 32 x 32 whose one tile has `width` x `height` pixels."""
    body = zlib.compress(b"\0" * 100_000)
    length, offset = 2 + 11 * 12 + 8 + 8, 0
    if big:
        length = 16 + 8 + 11 * 20 + 8
    offset = length
    tags = [
        (256, 4, 1, 32), (257, 4, 1, 32), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1), (284, 3, 1, 1),
        (322, 4, 1, width), (323, 4, 1, height), (324, 4, 1, offset), (325, 4, 1, len(body)),
    ]  # fmt: skip
    return tiff(tags, body, big)


def scan_bomb(scans, width=512, height=512):
    """A progressive JPEG that ends with the same scan again and again."""
    data = encoded(Image.new("RGB", (width, height), "red"), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]


def slow_bmp(megabytes=18):
    """16 x 16 pixels with millions of runs that lie outside it: seconds, in Pillow's decoder."""
    body = b"\1\0" * (megabytes * 500_000)
    header = struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, 8, 1, len(body), 0, 0, 2, 0)
    offset = 14 + len(header) + 8
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + header + b"\0" * 8 + body


def webp_canvas(width, height):
    """40 bytes: a canvas of any size with a lossless frame of one colour."""
    bits = (width - 1) | (height - 1) << 14
    body = b"\x2f" + struct.pack("<I", bits) + b"\x88\x88\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    chunk = b"VP8L" + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def png_chunks(*chunks, width=4, height=4):
    """A grey PNG with further chunks (name, body) before its pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * (width + 1) * height)
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in ((b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b"")):
        data += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return data
