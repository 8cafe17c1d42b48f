"""`decoding="scaled"`: large JPEGs are decoded at a smaller scale, and nothing else changes."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from models.errors import BrokenImageError, ImagePixelsError
from models.images.decode import DecodeLimits, decode, decode_scaled
from models.images.preprocess import MARGIN, Preprocessing, decoding_scale, read_pixels, view_of
from models.images.upright import upright_rgb

EXACT = Preprocessing(size=(16, 16), crop=0.875, interpolation="bicubic")
SCALED = EXACT.model_copy(update={"decoding": "scaled"})


def smooth_image(width, height):
    """Smooth and different everywhere, so that a shift by part of a pixel is seen."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, name="JPEG", **options):
    file = io.BytesIO()
    image.save(file, name, **({"quality": 95, "subsampling": 0} if name == "JPEG" else {}) | options)
    return file.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


def lossless(side, channels):
    """A JPEG of process 14 whose pixels all are 128: every difference from the pixel before is coded by one zero bit."""

    def segment(marker, content):
        return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content

    frame = struct.pack(">BHHB", 8, side, side, channels) + b"".join(bytes((i, 0x11, 0)) for i in range(channels))
    scan = bytes((channels,)) + b"".join(bytes((i, 0)) for i in range(channels)) + bytes((1, 0, 0))
    table = b"\0" + bytes((1, *[0] * 15)) + b"\0"
    parts = segment(0xC3, frame) + segment(0xC4, table) + segment(0xDA, scan)
    return b"\xff\xd8" + parts + b"\0" * (side * side * channels // 8) + b"\xff\xd9"


def differences(data, fit="crop"):
    exact, size = read_pixels(data, EXACT, fit)
    scaled, scaled_size = read_pixels(data, SCALED, fit)
    assert scaled_size == size
    return np.abs(exact.astype(int) - scaled)


def test_manifests_without_the_field_decode_exactly():
    assert Preprocessing.model_validate({"size": [16, 16]}).decoding == "exact"


@pytest.mark.parametrize(("side", "scale"), [(40, 1), (73, 1), (74, 2), (147, 4), (293, 8), (4000, 8)])
def test_the_view_keeps_twice_the_pixels_of_the_network(side, scale):
    for size in ((side, side), (side, 3 * side), (3 * side, side)):
        assert decoding_scale(size, SCALED) == scale
        view = view_of(size, SCALED)
        assert scale == 1 or (view.right - view.left) / scale >= MARGIN * 16
    assert decoding_scale((8 * MARGIN * 16, 10_000), SCALED, "squash") == 8
    assert decoding_scale((8 * MARGIN * 16 - 1, 10_000), SCALED, "squash") == 4


@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_view_is_at_the_same_place_whatever_the_orientation(orientation, fit):
    """Sides that are not multiples of the scale end within a pixel, at the first row or column where the image is turned."""
    for size in ((331, 297), (337, 303), (151, 187)):
        data = encoded(smooth_image(*size), **turned(orientation))
        assert differences(data, fit).max() <= 4
        full = decode(data)
        sizes = []
        decoded = decode_scaled(data, lambda size: sizes.append(size) or 4)  # noqa: B023
        assert sizes == [full.size]
        assert decoded.size == full.size
        assert decoded.image.size == tuple(-(-side // 4) for side in full.size)
        left, top, right, bottom = decoded.box
        assert (right - left, bottom - top) == (full.width / 4, full.height / 4)
        assert 0 <= left <= right <= decoded.image.width
        assert 0 <= top <= bottom <= decoded.image.height


@pytest.mark.parametrize(
    "data",
    [
        encoded(smooth_image(400, 300), progressive=True),
        encoded(smooth_image(400, 300), subsampling=2),
        encoded(smooth_image(400, 300).convert("L")),
        encoded(smooth_image(400, 300).convert("CMYK")),
        encoded(smooth_image(400, 300).convert("CMYK"), **turned(6)),
    ],
    ids=["progressive", "subsampled", "grey", "CMYK", "turned CMYK"],
)
def test_every_kind_of_jpeg_is_decoded_at_a_smaller_scale(data):
    assert decode_scaled(data, lambda _: 8).image.size in {(50, 38), (38, 50)}
    difference = differences(data)
    assert 0 < difference.max() <= 6


@pytest.mark.parametrize(
    "data",
    [
        encoded(smooth_image(60, 60)),
        encoded(smooth_image(400, 300), "PNG"),
        encoded(smooth_image(300, 400), "PNG", **turned(6)),
        encoded(smooth_image(400, 300), "WEBP"),
        encoded(smooth_image(400, 300), "TIFF"),
        encoded(Image.fromarray(np.arange(40_000, dtype=np.uint16).reshape(200, 200)), "PNG"),
        lossless(200, 1),
        lossless(200, 3),
    ],
    ids=["small", "PNG", "turned PNG", "WebP", "TIFF", "16 bits", "lossless grey", "lossless"],
)
def test_everything_else_is_decoded_exactly(data):
    assert differences(data).max() == 0


@pytest.mark.parametrize("progressive", [False, True])
def test_a_torn_jpeg_is_broken_as_when_it_is_decoded_in_full(progressive):
    data = encoded(smooth_image(400, 300), progressive=progressive)
    torn = data[: len(data) // 2]
    with pytest.raises(BrokenImageError) as exact:
        read_pixels(torn, EXACT)
    with pytest.raises(BrokenImageError) as scaled:
        read_pixels(torn, SCALED)
    assert str(scaled.value) == str(exact.value)


def test_limits_are_on_the_full_size():
    data = encoded(smooth_image(400, 300))
    with pytest.raises(ImagePixelsError, match="400 x 300"):
        read_pixels(data, SCALED, limits=DecodeLimits(max_pixels=100_000))


def test_photographs_are_close_to_exact_ones(photos):
    affected = 0
    for path in sorted(photos.iterdir())[:40]:
        data = path.read_bytes()
        affected += decoding_scale(read_pixels(data, EXACT)[1], SCALED) > 1
        assert differences(data).mean() < 2
    assert affected >= 35


def test_an_upright_rgb_image_is_not_copied():
    image = smooth_image(8, 8)
    assert upright_rgb(image) is image
