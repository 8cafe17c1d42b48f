"""JPEG: scans without end, sizes, metadata, and the parts of the standard that nobody uses."""

import struct
from functools import partial
from typing import NamedTuple

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

SOI, EOI, SOS, DHT, DQT, DRI, APP1, APP2, COM = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xE1, 0xE2, 0xFE
FRAMES = (0xC0, 0xC1, 0xC2)


class Segment(NamedTuple):
    """A marker, what its length covers, and the data of a scan that follows."""

    marker: int
    payload: bytes
    scan: bytes = b""


def split(data: bytes) -> list[Segment]:
    """The segments between start and end of a file that is whole."""
    found, at = [], 2
    while data[at + 1] != EOI:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        payload, end = data[at + 4 : at + 2 + size], at + 2 + size
        at = end
        if marker == SOS:
            while data[at] != 0xFF or data[at + 1] == 0 or 0xD0 <= data[at + 1] <= 0xD7:
                at += 1
        found.append(Segment(marker, payload, data[end:at]))
    return found


def join(segments: list[Segment]) -> bytes:
    """The file of these segments."""
    parts = [bytes((0xFF, s.marker)) + struct.pack(">H", len(s.payload) + 2) + s.payload + s.scan for s in segments]
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xd9"


def many_scans(side: int, scans: int, *, progressive: bool = True) -> bytes:
    """A flat image whose last scan, a few bytes of run lengths, is repeated: each costs as much as a whole image."""
    parts = split(encoded(Image.new("L", (side, side), 128), "JPEG", progressive=progressive))
    last = max(i for i, part in enumerate(parts) if part.marker == SOS)
    return join([*parts[: last + 1], *parts[last:] * (scans - 1), *parts[last + 1 :]])


def changed(marker: int, change: bytes, at: int = 0, mode: str = "RGB") -> bytes:
    """A small image with some bytes of its first segment of a kind overwritten."""
    parts = split(encoded(noise(mode), "JPEG"))
    index = next(i for i, part in enumerate(parts) if part.marker == marker)
    payload = parts[index].payload
    parts[index] = parts[index]._replace(payload=payload[:at] + change + payload[at + len(change) :])
    return join(parts)


def with_segments(extra: list[Segment]) -> bytes:
    """A small image with segments before all others."""
    return join([*extra, *split(encoded(noise(), "JPEG"))])


def without(marker: int) -> bytes:
    """A small image whose segments of a kind are missing."""
    return join([part for part in split(encoded(noise(), "JPEG")) if part.marker != marker])


def as_frame(kind: int, precision: int = 8) -> bytes:
    """A small image that says that it is of another kind: lossless, arithmetic, hierarchical."""
    parts = split(encoded(noise(), "JPEG"))
    return join(
        [Segment(kind, bytes([precision]) + part.payload[1:]) if part.marker in FRAMES else part for part in parts]
    )


def exif(entries: int, kind: int, count: int, offset: int, following: int = 0) -> bytes:
    """A segment's EXIF: a directory of equal entries, and the offset of the next directory."""
    rows = b"".join(struct.pack("<HHII", 0x9000 + i % 0x4000, kind, count, offset) for i in range(entries))
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", entries) + rows + struct.pack("<I", following)


def exif_bomb(segments: int) -> bytes:
    """Each of thousands of tags has the same 60 kB as its value."""
    first = exif(2000, 1, 60_000, 8)
    rest = [Segment(APP1, b"Exif\0\0" + bytes(60_000))] * (segments - 1)
    return with_segments([Segment(APP1, first + bytes(65_000 - len(first))), *rest])


def with_exif(block: bytes) -> bytes:
    """A small image with this EXIF."""
    return with_segments([Segment(APP1, block)])


def sized(width: int, height: int) -> bytes:
    """A small image whose header states another size."""
    return changed(0xC0, struct.pack(">HH", height, width), at=1)


def large(side: int, mode: str = "RGB", **options: object) -> bytes:
    """A flat image."""
    return encoded(Image.new(mode, (side, side)), "JPEG", **options)


def _cut() -> list[HostileImage]:
    good, progressive = encoded(noise(), "JPEG"), encoded(noise(), "JPEG", progressive=True)
    cases = [
        ("two bytes", good[:2], NOT_AN_IMAGE),
        ("three bytes", good[:3], BROKEN),
        ("twenty bytes", good[:20], BROKEN),
        ("half of it", good[: len(good) // 2], BROKEN),
        ("no end", good[:-2], MAYBE),
        ("half of a progressive one", progressive[: len(progressive) // 2], MAYBE),
        ("rubbish after its end", good + bytes(5000), READ),
        ("a second image after it", good + good, READ),
        ("start after start", b"\xff\xd8" * 2000 + good[2:], MAYBE),
        ("fill bytes", b"\xff\xd8" + b"\xff" * 5000 + good[3:], MAYBE),
        ("1 MB between segments", good[:20] + bytes(1_000_000) + good[20:], MAYBE),
        ("a segment that has length 0", good[:4] + bytes(2) + good[6:], MAYBE),
        ("a segment beyond its end", good[:4] + b"\xff\xff" + good[6:], BROKEN),
    ]
    return of_bytes(cases)


def _frames() -> list[HostileImage]:
    kinds = {
        0xC1: MAYBE,
        0xC2: MAYBE,
        0xC3: BROKEN,
        0xC5: BROKEN,
        0xC6: BROKEN,
        0xC7: BROKEN,
        0xC9: MAYBE,
        0xCA: MAYBE,
        0xCB: BROKEN,
        0xCD: BROKEN,
        0xCE: BROKEN,
        0xCF: BROKEN,
    }
    kinds_ = [HostileImage(f"a frame of kind {kind:X}", partial(as_frame, kind), kinds[kind]) for kind in kinds]
    precisions = [HostileImage(f"{bits} bits", partial(as_frame, 0xC1, bits), BROKEN) for bits in (0, 2, 12, 16, 255)]
    sizes = [
        (0, 0, BROKEN),
        (0, 9, BROKEN),
        (9, 0, BROKEN),
        (65_535, 65_535, BOMB),
        (65_535, 1, MAYBE),
        (1, 65_535, MAYBE),
        (LIMIT_SIDE, LIMIT_SIDE, COSTLY),
    ]
    lies = [HostileImage(f"{w} x {h} in its header", partial(sized, w, h), statuses) for w, h, statuses in sizes]
    return [*kinds_, *precisions, *lies]


IMAGES = [
    *_cut(),
    *_frames(),
    HostileImage("no components", lambda: changed(0xC0, b"\0", 5), BROKEN),
    HostileImage("255 components", lambda: changed(0xC0, b"\xff", 5), BROKEN),
    HostileImage("sampling 0", lambda: changed(0xC0, b"\0", 7), BROKEN),
    HostileImage("sampling 15", lambda: changed(0xC0, b"\xff", 7), BROKEN),
    HostileImage("a table of values that is not there", lambda: changed(0xC0, b"\x09", 8), BROKEN),
    HostileImage("no tables of values", lambda: without(DQT), BROKEN),
    HostileImage("no tables of codes", lambda: without(DHT), MAYBE),
    HostileImage("codes that are too many", lambda: changed(DHT, b"\xff" * 16, 1), BROKEN),
    HostileImage("codes that are none", lambda: changed(DHT, bytes(16), 1), BROKEN),
    HostileImage("no scan", lambda: without(SOS), BROKEN),
    HostileImage("a scan of no components", lambda: changed(SOS, b"\0"), BROKEN),
    HostileImage("a scan of unknown components", lambda: changed(SOS, b"\x09", 1), BROKEN),
    HostileImage("restarts that never come", lambda: with_segments([Segment(DRI, b"\0\1")]), MAYBE),
    HostileImage("CMYK", lambda: encoded(noise("CMYK"), "JPEG"), READ),
    HostileImage("grey", lambda: encoded(noise("L"), "JPEG"), READ),
    HostileImage("CMYK in 65,535 x 1", lambda: changed(0xC0, struct.pack(">HH", 1, 65_535), 1, "CMYK"), MAYBE),
    HostileImage("900 comments of 64 kB", lambda: with_segments([Segment(COM, bytes(20_000))] * 900), READ),
    HostileImage("5,000 comments", lambda: with_segments([Segment(COM, bytes(100))] * 5_000), MAYBE),
    HostileImage("1,000,000 empty comments", lambda: with_segments([Segment(COM, b"")] * 1_000_000), MAYBE),
    HostileImage(
        "200 profiles that lie",
        lambda: with_segments([Segment(APP2, b"ICC_PROFILE\0\1\xff" + bytes(900))] * 200),
        MAYBE,
    ),
    HostileImage("a profile of part 0", lambda: with_segments([Segment(APP2, b"ICC_PROFILE\0\0\0")]), MAYBE),
    HostileImage(
        "many images in one (MPO)", lambda: with_segments([Segment(APP2, b"MPF\0II*\0\xff\xff\xff\xff")]), MAYBE
    ),
    HostileImage("EXIF of 2,000 tags of 60 kB", lambda: exif_bomb(1), MAYBE),
    HostileImage("EXIF of 300 segments", lambda: exif_bomb(300), MAYBE),
    HostileImage("EXIF that ends in its header", lambda: with_exif(b"Exif\0\0II"), MAYBE),
    HostileImage("EXIF that is empty", lambda: with_exif(b"Exif\0\0"), MAYBE),
    HostileImage("EXIF of 4 GB", lambda: with_exif(exif(9, 2, 2**32 - 1, 8)), MAYBE),
    HostileImage("EXIF beyond its end", lambda: with_exif(exif(9, 2, 99, 2**32 - 1)), MAYBE),
    HostileImage("EXIF of unknown types", lambda: with_exif(exif(9, 99, 9, 8)), MAYBE),
    HostileImage("EXIF whose next directory is itself", lambda: with_exif(exif(9, 3, 1, 1, following=8)), MAYBE),
    HostileImage(
        "EXIF whose part is itself",
        lambda: with_exif(exif(0, 0, 0, 0)[:14] + struct.pack("<HHHII", 1, 0x8769, 4, 1, 8)),
        MAYBE,
    ),
    HostileImage(
        "orientation 99", lambda: with_exif(exif(0, 0, 0, 0)[:14] + struct.pack("<HHHII", 1, 274, 3, 1, 99)), READ
    ),
    HostileImage(
        "orientation of a text",
        lambda: with_exif(exif(0, 0, 0, 0)[:14] + struct.pack("<HHHII", 1, 274, 2, 4, 0x41414141)),
        MAYBE,
    ),
    HostileImage("120 scans", partial(many_scans, 64, 120), MAYBE),
    HostileImage("20,000 scans of 64 x 64", partial(many_scans, 64, 20_000), MAYBE),
    HostileImage("20,000 scans that are not progressive", partial(many_scans, 64, 20_000, progressive=False), MAYBE),
    HostileImage("3,000 scans of 4000 x 4000", partial(many_scans, 4000, 3_000), BOMB, slow=True),
    HostileImage("90 scans of 7000 x 7000", partial(many_scans, 7000, 90), COSTLY, slow=True),
    HostileImage("50 MP", partial(large, LIMIT_SIDE), COSTLY, slow=True),
    HostileImage("50 MP, progressive", partial(large, LIMIT_SIDE, progressive=True), COSTLY, slow=True),
    HostileImage("50 MP of CMYK", partial(large, LIMIT_SIDE, "CMYK"), COSTLY, slow=True),
]
