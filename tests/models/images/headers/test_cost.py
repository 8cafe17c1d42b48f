"""What a header says of the size and of the cost."""

import contextlib
import io
import time

import numpy as np
import pytest
from PIL import Image

from models.errors import BrokenImageError, ImageError
from models.images.decode import DecodeLimits, decode, decode_mask
from models.images.headers.base import HeavyImage
from models.images.headers.table import READERS, read_header
from models.images.preprocess import Preprocessing, read_pixels
from tests.models.images.hostile_files import encoded, noise, webp_canvas

LIGHT = DecodeLimits(light=True)
FORMATS = ("JPEG", *READERS)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "1", "CMYK", "I;16"])
def test_the_size_is_the_one_that_pillow_reads(name, mode):
    image = noise(67, 43).convert(mode) if mode != "I;16" else Image.fromarray(np.zeros((43, 67), np.uint16))
    try:
        data = encoded(image, name)
    except (OSError, KeyError, ValueError):
        pytest.skip(f"{name} has not got {mode}")
    header = read_header(name, data)
    assert header.size == Image.open(io.BytesIO(data)).size == (67, 43)
    assert not header.heavy


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 50}, {"save_all": True, "exif": b"Exif\0\0MM\0*"}])
def test_every_kind_of_webp_has_a_header(options):
    assert read_header("WEBP", encoded(noise(67, 43), "WEBP", **options)).size == (67, 43)


def test_a_frame_that_reaches_outside_the_screen_of_a_gif_counts():
    data = bytearray(encoded(noise(8, 8), "GIF"))
    data[6:10] = b"\2\0\2\0"
    assert read_header("GIF", bytes(data)).size == (8, 8) == decode(bytes(data)).size


@pytest.mark.parametrize("name", FORMATS)
def test_files_that_end_anywhere_have_a_header_or_none(name):
    data = encoded(noise(16, 16), name)
    for end in range(4, len(data)):
        try:
            read_header(name, data[:end])
        except BrokenImageError as error:
            raise AssertionError(end) from error


def test_mutants_raise_nothing_else():
    rng = np.random.default_rng(0)
    for name in FORMATS:
        data = np.frombuffer(encoded(noise(16, 16), name), np.uint8)
        for _ in range(200):
            mutant = data.copy()
            mutant[rng.integers(4, len(data), 3)] = rng.integers(0, 256, 3)
            with contextlib.suppress(ImageError):
                read_header(name, mutant.tobytes())


def test_what_costs_much_is_not_decoded_where_only_light_images_are():
    with pytest.raises(HeavyImage) as heavy:
        decode(webp_canvas(7000, 7000), LIGHT)
    assert heavy.value.seconds > 0.3
    with pytest.raises(HeavyImage):
        decode_mask(encoded(Image.new("RGB", (4096, 4096)), "PNG"), light=True)
    assert decode_mask(encoded(Image.new("1", (512, 512), 1), "PNG"), light=True).all()


def test_a_large_jpeg_is_light_where_it_is_decoded_at_a_smaller_scale():
    data = encoded(Image.new("RGB", (6000, 6000)), "JPEG")
    exact = Preprocessing(size=(64, 64))
    with pytest.raises(HeavyImage):
        read_pixels(data, exact, limits=LIGHT)
    assert read_pixels(data, exact.model_copy(update={"decoding": "scaled"}), limits=LIGHT)[1] == (6000, 6000)


def test_photographs_are_light_and_larger_ones_are_not(photos):
    for path in sorted(photos.iterdir()):
        decode(path.read_bytes(), LIGHT)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_the_estimate_is_of_the_right_order(photos, name):
    """Within a factor of ten, as the machine is another one or busy."""
    photo = decode(max(photos.iterdir(), key=lambda path: path.stat().st_size).read_bytes()).resize((1600, 1200))
    data = encoded(photo, name)
    start = time.thread_time()
    read_pixels(data, Preprocessing(size=(224, 224)))
    assert 0.1 < (time.thread_time() - start) / read_header(name, data).seconds < 10


def test_a_header_that_comes_after_the_pixels_does_not_make_a_png_cheap():
    from models.images.headers.png import read_png

    def chunk(name, content):
        return len(content).to_bytes(4, "big") + name + content + b"\0\0\0\0"

    def ihdr(side):
        return chunk(b"IHDR", side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0]))

    data = b"\x89PNG\r\n\x1a\n" + ihdr(6000) + chunk(b"IDAT", b"x") + ihdr(1) + chunk(b"IEND", b"")
    header = read_png(data)
    assert header.size == (6000, 6000)
    assert header.heavy
