"""Files that cost more than their pixels do are refused before anything is decoded."""

import struct
import tracemalloc
import zlib

import pytest

from models.errors import BrokenImageError, ImagePixelsError
from models.images.decode import DecodeLimits, decode, decode_mask
from models.images.headers.base import MAX_PARTS, MAX_TAGS
from models.images.headers.jpeg import MAX_JUNK, MAX_SCANS
from tests.models.images.hostile_files import (
    encoded,
    noise,
    png_chunks,
    scan_bomb,
    tiff,
    tile_bomb,
    webp_canvas,
)


@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
def test_a_tile_that_is_larger_than_an_image_may_be_is_too_many_pixels(big):
    with pytest.raises(
        ImagePixelsError, match="50,000,000 pixels, a tile of this TIFF has 32 x 16711712 = 534,774,784"
    ):
        decode(tile_bomb(big=big))
    assert decode(tile_bomb(64, 64, big=big)).size == (32, 32)


def test_the_larger_of_two_tile_sizes_counts():
    """Readers differ in which of two equal tags they take."""
    data = tile_bomb(32, 32)
    entry = struct.pack("<HHII", 323, 4, 1, 32)
    twice = data.replace(struct.pack("<HHII", 284, 3, 1, 1), struct.pack("<HHII", 323, 4, 1, 16_711_712))
    assert entry in twice
    with pytest.raises(ImagePixelsError, match="a tile of this TIFF"):
        decode(twice)


def test_a_directory_with_too_many_tags_is_broken():
    with pytest.raises(BrokenImageError, match=f"this TIFF has {MAX_TAGS + 1:,} tags in a directory, {MAX_TAGS:,} are"):
        decode(tiff([(60_000, 3, 1, 1)] * (MAX_TAGS + 1)))


def test_tags_that_share_their_data_are_broken():
    data = tiff([(50_000 + i, 7, 1_000_000, 4096) for i in range(900)], b"\0" * 1_010_000)
    with pytest.raises(BrokenImageError, match="the tags of this TIFF have 900,000,000 bytes of data"):
        decode(data)


def test_exif_whose_tags_share_their_data_is_broken():
    exif = tiff([(50_000 + i, 7, 40_000, 13_000) for i in range(900)], b"\0" * 45_000)
    data = encoded(noise(8, 8), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif
    with pytest.raises(BrokenImageError, match="the tags of this JPEG's EXIF have 36,000,000 bytes"):
        decode(data[:2] + segment + data[2:])


@pytest.mark.filterwarnings("ignore:Tag data larger than file")
def test_damaged_exif_does_not_matter():
    """A tag with an absurd count, as cameras and editors leave behind."""
    exif = tiff([(271, 2, 4_000_000_000, 60), (272, 2, 30, 4_000_000_000)])
    data = encoded(noise(8, 8), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif
    assert decode(data[:2] + segment + data[2:]).size == (8, 8)


def test_a_tiff_with_more_strips_than_rows_is_broken():
    tags = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 10_000, 200), (278, 3, 1, 1)]
    with pytest.raises(BrokenImageError, match="lists 10,000 strips or tiles, its size allows 8"):
        decode(tiff(tags, b"\0" * 50_000))


def test_a_jpeg_with_too_many_scans_is_broken():
    with pytest.raises(BrokenImageError, match=rf"this JPEG has [1-9],0\d\d scans, {MAX_SCANS} are allowed"):
        decode(scan_bomb(1000))
    assert decode(scan_bomb(20)).size == (512, 512)


def test_the_marker_of_a_scan_inside_other_data_does_not_count():
    """In a segment, and after the image, where some phones store a film."""
    data = encoded(noise(64, 64), "JPEG", progressive=True)
    scan = data.index(b"\xff\xda")
    comment = b"\xff\xfe" + struct.pack(">H", 2002) + b"\xff\xda" * 1000
    assert decode(data[:scan] + comment + data[scan:] + b"\xff\xda" * 1000).size == (64, 64)
    after_first = data.index(b"\xff\xc4", scan)
    assert decode(data[:after_first] + comment + data[after_first:]).size == (64, 64)


def test_a_jpeg_with_too_many_segments_or_too_much_between_them_is_broken():
    data = encoded(noise(8, 8), "JPEG")
    with pytest.raises(BrokenImageError, match=f"more than {MAX_PARTS:,} segments"):
        decode(data[:2] + b"\xff\xfe\0\2" * (MAX_PARTS + 1) + data[2:])
    second = 4 + int.from_bytes(data[4:6], "big")
    with pytest.raises(BrokenImageError, match=f"more than {MAX_JUNK:,} bytes between its segments"):
        decode(data[:second] + b"\0" * (MAX_JUNK + 1) + data[second:])
    with pytest.raises(BrokenImageError, match=f"more than {MAX_JUNK:,} bytes between its segments"):
        decode(data[:2] + b"\xff" * (MAX_JUNK + 2) + data[2:])


def test_a_png_with_too_many_chunks_is_broken():
    with pytest.raises(BrokenImageError, match=f"more than {MAX_PARTS:,} chunks"):
        decode(png_chunks(*[(b"tEXt", b"a\0b")] * MAX_PARTS))
    with pytest.raises(BrokenImageError, match=r"more than 1,\d\d\d chunks"):
        decode(png_chunks(*[(b"IDAT", b"")] * 2000))
    with pytest.raises(BrokenImageError, match="chunks"):
        decode_mask(png_chunks(*[(b"tEXt", b"a\0b")] * MAX_PARTS))


def test_a_png_with_compressed_text_or_profiles_takes_little_memory():
    large = zlib.compress(b"\0" * 1_000_000)
    profiles = png_chunks(*[(b"iCCP", b"a\0\0" + large)] * 2)
    with pytest.raises(BrokenImageError, match="more than one colour profile"):
        decode(profiles)
    tracemalloc.start()
    try:
        with pytest.raises(BrokenImageError):
            decode(png_chunks(*[(b"zTXt", b"a\0\0" + large)] * 500))
        assert tracemalloc.get_traced_memory()[1] < 150_000_000
    finally:
        tracemalloc.stop()


def test_a_gif_with_too_many_blocks_before_its_frame_is_broken():
    data = encoded(noise(8, 8), "GIF")
    start = 13 + (3 << (data[10] & 7) + 1)
    comment = b"\x21\xfe" + (b"\xff" + b"a" * 255) * 20_000 + b"\0"
    with pytest.raises(BrokenImageError, match="more than 10,000 blocks"):
        decode(data[:start] + comment + data[start:])


def test_the_canvas_of_a_webp_is_checked_before_it_is_made():
    data = webp_canvas(16_000, 16_000)
    assert len(data) <= 44
    tracemalloc.start()
    try:
        with pytest.raises(ImagePixelsError, match="16000 x 16000"):
            decode(data)
    finally:
        tracemalloc.stop()
    assert decode(webp_canvas(100, 50), DecodeLimits(max_pixels=5000)).size == (100, 50)
