"""PNG: compressed text and profiles, sizes, depths and palettes, interlacing, chunks without end."""

import struct
import zlib
from collections.abc import Iterable
from functools import partial

from tests.hostile.images.base import (
    BOMB,
    BROKEN,
    COSTLY,
    LIMIT_SIDE,
    MAYBE,
    READ,
    TOO_LARGE,
    HostileImage,
    encoded,
    noise,
    of_bytes,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(name: bytes, data: bytes, length: int | None = None, checksum: int | None = None) -> bytes:
    """One chunk; its length and checksum may lie."""
    sum_ = zlib.crc32(name + data) if checksum is None else checksum
    return struct.pack(">I", len(data) if length is None else length) + name + data + struct.pack(">I", sum_)


def header(width: int, height: int, depth: int = 8, colour: int = RGB, interlaced: int = 0, other: int = 0) -> bytes:
    """IHDR. `other`: the methods of compression and filters, of which there is only 0."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, other, other, interlaced))


def zeros(size: int, level: int = 6) -> bytes:
    """So many zeros, compressed; they are never in memory together."""
    stream, piece = zlib.compressobj(level), bytes(min(size, 1_000_000))
    parts = [stream.compress(piece) for _ in range(size // len(piece))] if size else []
    return b"".join([*parts, stream.compress(bytes(size % len(piece) if size else 0)), stream.flush()])


def data_size(width: int, height: int, depth: int, colour: int, interlaced: int) -> int:
    """Bytes of all rows with their filter bytes."""
    bits = depth * SAMPLES[colour]
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = ((-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes if width > x and height > y)
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in sizes)


def flat(width: int, height: int, depth: int = 8, colour: int = RGB, interlaced: int = 0) -> bytes:
    """A whole image of zeros."""
    data = zeros(data_size(width, height, depth, colour, interlaced))
    palette = [chunk(b"PLTE", bytes(3))] if colour == PALETTE else []
    return join(header(width, height, depth, colour, interlaced), *palette, chunk(b"IDAT", data))


def join(*chunks: bytes) -> bytes:
    """A file of chunks, with its end."""
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")


def with_chunks(extra: Iterable[bytes], *, after: bool = False) -> bytes:
    """A small image with chunks before or after its data."""
    ihdr, data = header(16, 16), chunk(b"IDAT", zeros(data_size(16, 16, 8, RGB, 0)))
    return join(ihdr, data, *extra) if after else join(ihdr, *extra, data)


def text_bomb(count: int, size: int, name: bytes = b"zTXt") -> list[bytes]:
    """Compressed texts that are long."""
    body = zeros(size)
    before = {b"zTXt": b"key\0\0", b"iTXt": b"key\0\1\0\0\0", b"iCCP": b"icc\0\0"}[name]
    return [chunk(name, before + body)] * count


def without(name: bytes, mode: str) -> bytes:
    """A small image whose chunks of a name are missing."""
    whole = encoded(noise(mode), "PNG")
    parts, at = [], 8
    while at < len(whole):
        size = int.from_bytes(whole[at : at + 4], "big") + 12
        parts += [whole[at : at + size]] * (whole[at + 4 : at + 8] != name)
        at += size
    return SIGNATURE + b"".join(parts)


def _lies() -> list[HostileImage]:
    good = encoded(noise(), "PNG")
    cases = [
        ("nothing after the signature", SIGNATURE, BROKEN),
        ("half a signature", SIGNATURE[:6], frozenset({415})),
        ("half of it", good[: len(good) // 2], MAYBE),
        ("no end", good[:-12], MAYBE),
        ("rubbish after its end", good + bytes(5000), READ),
        ("no header", SIGNATURE + good[33:], BROKEN),
        ("two headers", good[:33] + good[8:33] + good[33:], MAYBE),
        ("a header that is too short", join(chunk(b"IHDR", bytes(5))), BOMB),
        ("a chunk of 4 GB", join(header(9, 9), chunk(b"IDAT", b"x", length=2**32 - 1)), BROKEN),
        ("a chunk of -2 GB", join(header(9, 9), chunk(b"tEXt", b"x", length=2**31)), BROKEN),
        ("wrong checksums", SIGNATURE + header(9, 9)[:-4] + bytes(4) + good[33:], BROKEN),
        ("a name that is not letters", join(header(9, 9), chunk(b"\0\1\2\3", b"")), BROKEN),
        ("data that is not compressed", join(header(9, 9), chunk(b"IDAT", bytes(500))), BROKEN),
        ("no data", join(header(9, 9)), BROKEN),
        ("too little data", join(header(90, 90), chunk(b"IDAT", zeros(90))), BROKEN),
        (
            "a palette of one byte",
            join(header(9, 9, 8, PALETTE), chunk(b"PLTE", b"x"), chunk(b"IDAT", zeros(90))),
            MAYBE,
        ),
        (
            "a palette of 300 colours",
            join(header(9, 9, 8, PALETTE), chunk(b"PLTE", bytes(900)), chunk(b"IDAT", zeros(90))),
            MAYBE,
        ),
        ("palette missing", without(b"PLTE", "P"), BROKEN),
        ("alpha of more colours than there are", with_chunks([chunk(b"tRNS", bytes(3000))]), MAYBE),
        ("an empty alpha", with_chunks([chunk(b"tRNS", b"")]), MAYBE),
        ("gamma 0", with_chunks([chunk(b"gAMA", bytes(4))]), MAYBE),
        ("chromaticities that are cut short", with_chunks([chunk(b"cHRM", bytes(3))]), MAYBE),
        ("2^31 dots a metre", with_chunks([chunk(b"pHYs", struct.pack(">IIB", 2**31, 2**31, 1))]), READ),
        ("an animation of 2^31 frames", with_chunks([chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))]), MAYBE),
        (
            "a frame beyond the image",
            with_chunks(
                [
                    chunk(b"acTL", struct.pack(">II", 2, 0)),
                    chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 2**31 - 1, 2**31 - 1, 9, 9, 0, 0, 0, 0)),
                ]
            ),
            MAYBE,
        ),
        ("EXIF that is rubbish", with_chunks([chunk(b"eXIf", b"\xff" * 3000)]), MAYBE),
        ("a second size after its data", with_chunks([header(2**30, 2**30)], after=True), MAYBE | TOO_LARGE),
    ]
    return of_bytes(cases)


def _sizes() -> list[HostileImage]:
    sizes = [
        (0, 0, BROKEN),
        (0, 9, BROKEN),
        (9, 0, BROKEN),
        (2**31 - 1, 2**31 - 1, TOO_LARGE),
        (2**32 - 1, 1, BOMB),
        (1, 2**32 - 1, BOMB),
        (65_536, 1, TOO_LARGE),
        (50_001, 1_000, TOO_LARGE),
        (30_000, 30_000, TOO_LARGE),
        (1, 1, BROKEN),
        (65_535, 762, BROKEN),
    ]
    return [
        HostileImage(f"{w} x {h} in its header", partial(join, header(w, h), chunk(b"IDAT", zeros(2))), statuses)
        for w, h, statuses in sizes
    ]


def _depths() -> list[HostileImage]:
    allowed = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
    found = []
    for colour in (*allowed, 1, 5, 7, 255):
        for depth in (0, 1, 2, 4, 8, 16, 32):
            if depth in allowed.get(colour, ()):
                make = partial(flat, 17, 13, depth, colour, interlaced=1)
                found.append(HostileImage(f"{depth} bits of colour type {colour}, interlaced", make, READ))
            elif depth in (8, 32) or colour in allowed:
                make = partial(join, header(17, 13, depth, colour), chunk(b"IDAT", zeros(17 * 13)))
                found.append(HostileImage(f"{depth} bits of colour type {colour}", make, BROKEN))
    return found


IMAGES = [
    *_lies(),
    *_sizes(),
    *_depths(),
    HostileImage("interlacing 7", partial(join, header(9, 9, interlaced=7), chunk(b"IDAT", zeros(300))), MAYBE),
    HostileImage("compression 1", partial(join, header(9, 9, other=1), chunk(b"IDAT", zeros(300))), MAYBE),
    HostileImage("a text of 10 MB", lambda: with_chunks(text_bomb(1, 10_000_000)), MAYBE),
    HostileImage("an international text of 10 MB", lambda: with_chunks(text_bomb(1, 10_000_000, b"iTXt")), MAYBE),
    HostileImage("a colour profile of 10 MB", lambda: with_chunks(text_bomb(1, 10_000_000, b"iCCP")), MAYBE),
    HostileImage("900 texts of 1 MB", lambda: with_chunks(text_bomb(900, 1_000_000)), MAYBE),
    HostileImage("15,000 texts of 1 MB", lambda: with_chunks(text_bomb(15_000, 1_000_000)), MAYBE),
    HostileImage(
        "15,000 texts of 1 MB after its data", lambda: with_chunks(text_bomb(15_000, 1_000_000), after=True), MAYBE
    ),
    HostileImage("500 colour profiles", lambda: with_chunks(text_bomb(500, 1_000_000, b"iCCP")), MAYBE),
    HostileImage("1,000,000 empty chunks", lambda: with_chunks([chunk(b"tEXt", b"")] * 1_000_000), MAYBE),
    HostileImage("1,000,000 empty chunks of data", lambda: with_chunks([chunk(b"IDAT", b"")] * 1_000_000), MAYBE),
    HostileImage(
        "data of 1 GB behind 9 x 9", lambda: join(header(9, 9), chunk(b"IDAT", zeros(10**9, 1))), MAYBE, slow=True
    ),
    HostileImage("50 MP", partial(flat, LIMIT_SIDE, LIMIT_SIDE), COSTLY, slow=True),
    HostileImage("50 MP, interlaced", partial(flat, LIMIT_SIDE, LIMIT_SIDE, interlaced=1), COSTLY, slow=True),
    HostileImage("50 MP of 16 bits with alpha", partial(flat, LIMIT_SIDE, LIMIT_SIDE, 16, RGBA), COSTLY, slow=True),
    HostileImage("50 MP of one bit", partial(flat, LIMIT_SIDE, LIMIT_SIDE, 1, GREY), COSTLY, slow=True),
    HostileImage("50 MP of a palette", partial(flat, LIMIT_SIDE, LIMIT_SIDE, 1, PALETTE), COSTLY, slow=True),
    HostileImage("65,535 x 762", partial(flat, 65_535, 762), COSTLY, slow=True),
    HostileImage("1 x 65,535", partial(flat, 1, 65_535), READ),
]
