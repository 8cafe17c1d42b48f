import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from models.errors import BrokenImageError, ImageBytesError, ImagePixelsError, NotAnImageError
from models.images.decode import DecodeLimits, decode, decode_mask, image_format
from models.images.upright import upright_rgb


def encoded(image, name="PNG", **options):
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def test_exif_orientation_is_applied():
    upright = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8))
    file, exif = io.BytesIO(), Image.Exif()
    exif[274] = 6
    upright.rotate(90, expand=True).save(file, "PNG", exif=exif)

    assert np.array_equal(np.asarray(upright_rgb(Image.open(file))), np.asarray(upright))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_undone(orientation):
    """As Pillow's own function undoes it."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(image, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(np.asarray(decode(data)), np.asarray(expected))


def test_transparency_lies_over_white():
    clear = Image.new("RGBA", (2, 2), (200, 0, 0, 0))
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 128))
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.info["transparency"] = 1

    assert upright_rgb(clear).getpixel((0, 0)) == (255, 255, 255)
    assert upright_rgb(half).getpixel((0, 0)) == (127, 127, 127)
    assert upright_rgb(palette).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_not_clipped():
    grey = Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16))
    assert [np.asarray(upright_rgb(grey))[0, x, 0] for x in range(3)] == [0, 128, 255]


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_a_format_is_told_from_the_first_bytes(name):
    data = encoded(Image.new("RGB", (4, 3), "red"), name)
    assert image_format(data[:16]) == name
    assert decode(data).size == (4, 3)


def test_bytes_of_no_known_format_are_not_an_image():
    assert image_format(b"plain text") is None
    with pytest.raises(NotAnImageError, match="not an image in JPEG, PNG"):
        decode(b"plain text")
    with pytest.raises(NotAnImageError, match="there are none"):
        decode(b"")


def test_a_known_format_that_cannot_be_decoded_is_broken():
    data = encoded(Image.effect_noise((64, 64), 50))
    with pytest.raises(BrokenImageError, match="PNG"):
        decode(data[: len(data) // 2])
    with pytest.raises(BrokenImageError, match="header"):
        decode(data[:12])


def test_whatever_pillow_raises_is_a_broken_image(monkeypatch):
    monkeypatch.setattr(Image.Image, "convert", lambda *_: 1 / 0)
    with pytest.raises(BrokenImageError, match="division by zero"):
        decode(encoded(Image.new("L", (4, 4))))


def test_limits_are_told_with_the_value():
    data = encoded(Image.new("RGB", (40, 30)))
    with pytest.raises(ImageBytesError, match=f"10 bytes, this one has {len(data)}"):
        decode(data, DecodeLimits(max_bytes=10))
    with pytest.raises(ImagePixelsError, match=r"1,000 pixels .* 40 x 30 = 1,200"):
        decode(data, DecodeLimits(max_pixels=1000))


@pytest.mark.parametrize("name", ["JPEG", "PNG", "BMP", "GIF"])
@pytest.mark.parametrize("allowed", [10, 1000])
def test_the_limit_is_ours_and_not_that_of_pillow(monkeypatch, name, allowed):
    """Above MAX_IMAGE_PIXELS `Image.open` warns, above twice that it raises."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", allowed)
    assert decode(encoded(Image.new("RGB", (40, 30)), name)).size == (40, 30)
    assert decode_mask(encoded(Image.new("1", (40, 30), 1))).all()
    assert allowed == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("name", ["WEBP", "TIFF"])
def test_where_pillow_checks_its_own_limit_the_error_names_it(monkeypatch, name):
    data = encoded(Image.new("RGB", (40, 30)), name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ImagePixelsError, match=rf"this {name} is above the limit of PIL\.Image\.MAX_IMAGE_PIXELS"):
        decode(data)


def test_a_mask_that_is_too_large_is_told_from_its_header(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ImagePixelsError, match="a mask's side may have 4,096 pixels, this one has 5,000 x 1"):
        decode_mask(encoded(Image.new("1", (5000, 1))))


def test_a_tiff_whose_byte_order_contradicts_its_header_is_a_tiff():
    """Pillow reads these."""
    assert image_format(b"II\0*") == image_format(b"MM*\0") == "TIFF"


def test_an_exception_without_text_is_told_as_broken_data():
    """Pillow asserts that an image with a palette has one."""
    header = struct.pack(">IIBBBBB", 4, 4, 8, 3, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 20)), (b"IEND", b"")):
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    with pytest.raises(BrokenImageError, match=r"^this PNG cannot be decoded: its data is broken \(AssertionError\)$"):
        decode(data)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA", "I;16"])
def test_a_mask_is_set_where_any_channel_but_alpha_is(mode):
    rng = np.random.default_rng(0)
    colours = np.where(rng.random((20, 30, 3)) > 0.7, rng.integers(1, 256, (20, 30, 3)), 0).astype(np.uint8)
    image = (
        Image.fromarray(colours[..., 0].astype(np.uint16) << 8)
        if mode == "I;16"
        else Image.fromarray(colours).convert(mode)
    )
    expected = np.asarray(image.convert("RGB")).max(axis=2) != 0 if mode != "I;16" else colours[..., 0] != 0
    assert np.array_equal(decode_mask(encoded(image)), expected)
    assert not decode_mask(encoded(Image.new("RGBA", (2, 2), (0, 0, 0, 255)))).any()


def test_values_of_32_bits_are_scaled_as_those_of_16():
    values = np.array([[0, 256, 32768, 65535, 70_000_000, -1]], dtype=np.int32)
    assert list(np.asarray(upright_rgb(Image.fromarray(values)))[0, :, 0]) == [0, 1, 128, 255, 255, 255]


def test_transparency_is_blended_exactly():
    """As Pillow pastes through a mask that is an image of its own."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 4), dtype=np.uint8))
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    assert np.array_equal(np.asarray(decode(encoded(image))), np.asarray(white))


def test_what_a_webp_is_read_with_is_given_back_once_it_is_loaded():
    image = Image.open(io.BytesIO(encoded(Image.new("RGBA", (8, 8)), "WEBP")))
    assert vars(image)["_decoder"]
    upright_rgb(image)
    assert "_decoder" not in vars(image)
