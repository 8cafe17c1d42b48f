"""WebP: a few bytes that are a huge canvas; animations; chunks that lie."""

import struct
from functools import partial

from PIL import Image

from tests.hostile.images.base import (
    BOMB,
    BROKEN,
    COSTLY,
    LIMIT_SIDE,
    MAYBE,
    NOT_AN_IMAGE,
    READ,
    HostileImage,
    encoded,
    noise,
    of_bytes,
)

MAX_SIDE = 16_383
ANIMATED, ALPHA = 0x02, 0x10


def chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    """One chunk, padded to an even length; its size may lie."""
    return name + struct.pack("<I", len(data) if size is None else size) + data + b"\0" * (len(data) % 2)


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    """The file of these chunks."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def lossless_bits(width: int, height: int) -> bytes:
    """An image of one colour: no transforms, and five codes of one symbol each, which take no bits a pixel. 8 bytes."""
    bits = "".join(
        f"{value:0{count}b}"[::-1]
        for value, count in (
            (width - 1, 14),
            (height - 1, 14),
            (0, 1),
            (0, 3),
            (0, 1),
            (0, 1),
            (0, 1),
            *[(1, 4)] * 5,
        )
    )
    bits += "0" * (-len(bits) % 8)
    return b"\x2f" + bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))


def flat(width: int, height: int, length: int = 40) -> bytes:
    """A lossless image of one colour, in so many bytes."""
    data = lossless_bits(width, height)
    return riff(chunk(b"VP8L", data + bytes(max(0, length - 20 - len(data)))))


def canvas(width: int, height: int, flags: int, *chunks: bytes) -> bytes:
    """The extended form."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return riff(chunk(b"VP8X", bytes([flags, 0, 0, 0]) + size), *chunks)


def frame(width: int, height: int, x: int = 0, y: int = 0) -> bytes:
    """A frame of an animation, of one colour."""
    place = b"".join(value.to_bytes(3, "little") for value in (x // 2, y // 2, width - 1, height - 1, 40))
    return chunk(b"ANMF", place + b"\0" + chunk(b"VP8L", lossless_bits(width, height)))


def animation(width: int, height: int, *frames: bytes) -> bytes:
    """Frames on a canvas."""
    return canvas(width, height, ANIMATED, chunk(b"ANIM", bytes(6)), *frames)


def sized(width: int, height: int) -> bytes:
    """A small lossy image whose header states another size."""
    data = bytearray(encoded(noise(), "WEBP"))
    at = data.index(b"\x9d\x01\x2a") + 3
    data[at : at + 4] = struct.pack("<HH", width, height)
    return bytes(data)


def _cut() -> list[HostileImage]:
    lossy, lossless = encoded(noise(), "WEBP"), encoded(noise(), "WEBP", lossless=True)
    moving = encoded(noise(), "WEBP", save_all=True, append_images=[Image.new("RGB", (60, 40))])
    cases = [
        ("eight bytes", lossy[:8], NOT_AN_IMAGE),
        ("twelve bytes", lossy[:12], BROKEN),
        ("sixteen bytes", lossy[:16], BROKEN),
        ("thirty bytes", lossy[:30], BROKEN),
        ("half of it", lossy[: len(lossy) // 2], BROKEN),
        ("half of a lossless one", lossless[: len(lossless) // 2], BROKEN),
        ("half of an animation", moving[: len(moving) // 2], MAYBE),
        ("rubbish after its end", lossy + bytes(5000), READ),
        ("no chunks", riff(), BROKEN),
        ("a file of 4 GB", b"RIFF\xff\xff\xff\xff" + lossy[8:], MAYBE),
        ("a file of 0 bytes", b"RIFF\0\0\0\0" + lossy[8:], BROKEN),
        ("a chunk of 4 GB", riff(chunk(b"VP8 ", lossy[20:], size=2**32 - 1)), BROKEN),
        ("a chunk of 0 bytes", riff(chunk(b"VP8L", b"")), BROKEN),
        ("an unknown chunk", riff(chunk(b"ABCD", bytes(90))), BROKEN),
        ("100,000 unknown chunks", canvas(60, 40, 0, *[chunk(b"ABCD", b"")] * 100_000, lossy[12:]), MAYBE),
        ("two images", riff(lossy[12:], lossy[12:]), MAYBE),
        ("another size than its canvas", canvas(99, 99, 0, lossy[12:]), MAYBE),
        ("a canvas without an image", canvas(60, 40, 0), BROKEN),
        ("alpha without an image", canvas(60, 40, ALPHA, chunk(b"ALPH", bytes(90))), BROKEN),
        ("alpha that is rubbish", canvas(60, 40, ALPHA, chunk(b"ALPH", b"\xff" * 90), lossy[12:]), MAYBE),
        ("EXIF that is rubbish", canvas(60, 40, 8, lossy[12:], chunk(b"EXIF", b"\xff" * 9000)), MAYBE),
        ("a profile that is rubbish", canvas(60, 40, 32, chunk(b"ICCP", b"\xff" * 9000), lossy[12:]), MAYBE),
    ]
    return of_bytes(cases)


IMAGES = [
    *_cut(),
    *(
        HostileImage(f"{w} x {h} in the header of a lossy one", partial(sized, w, h), statuses)
        for w, h, statuses in (
            (0, 0, BROKEN),
            (0, 9, BROKEN),
            (1, MAX_SIDE, MAYBE),
            (MAX_SIDE, MAX_SIDE, BOMB),
            (MAX_SIDE, 3051, COSTLY),
        )
    ),
    HostileImage("1 x 1 in 28 bytes", partial(flat, 1, 1, 28), MAYBE),
    HostileImage("16,384 x 16,384 in 40 bytes", partial(flat, 16_384, 16_384), BOMB),
    HostileImage("16,384 x 16,384 in 28 bytes", partial(flat, 16_384, 16_384, 28), BOMB),
    HostileImage("50 MP in 28 bytes", partial(flat, LIMIT_SIDE, LIMIT_SIDE, 28), COSTLY, slow=True),
    HostileImage("50 MP in 40 bytes", partial(flat, LIMIT_SIDE, LIMIT_SIDE), COSTLY, slow=True),
    HostileImage("16,384 x 3,051 in 40 bytes", partial(flat, 16_384, 3_051), COSTLY, slow=True),
    HostileImage("a canvas of 2^24 x 2^24", lambda: canvas(2**24, 2**24, 0, chunk(b"VP8L", lossless_bits(9, 9))), BOMB),
    HostileImage("a canvas of 2^24 x 2", lambda: canvas(2**24, 2, 0, chunk(b"VP8L", lossless_bits(9, 9))), BOMB),
    HostileImage("an animation of 2^24 x 2^24", lambda: animation(2**24, 2**24, frame(9, 9)), BOMB),
    HostileImage("a small frame on 50 MP", lambda: animation(LIMIT_SIDE, LIMIT_SIDE, frame(9, 9)), COSTLY, slow=True),
    HostileImage("a large frame on 9 x 9", lambda: animation(9, 9, frame(LIMIT_SIDE, LIMIT_SIDE)), COSTLY),
    HostileImage("a frame outside its canvas", lambda: animation(9, 9, frame(9, 9, 2**24, 2**24)), BROKEN),
    HostileImage("an animation without frames", lambda: animation(9, 9), BROKEN),
    HostileImage("100,000 frames", lambda: animation(9, 9, *[frame(9, 9)] * 100_000), MAYBE),
    HostileImage("100 frames of 25 MP", lambda: animation(5000, 5000, *[frame(5000, 5000)] * 100), COSTLY, slow=True),
]
