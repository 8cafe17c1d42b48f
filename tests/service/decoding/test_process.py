"""A worker gives what the same call gives in this process, and loses nothing but its own image."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from models.errors import BrokenImageError, ImageBytesError, ImagePixelsError, NotAnImageError
from models.images.decode import DecodeLimits, decode_mask
from models.images.headers.base import HeavyImage
from models.images.preprocess import Fit, Preprocessing, read_pixels
from service.decoding.base import ThreadReader, workers_supported
from service.decoding.messages import Task
from service.decoding.process import Worker
from tests.models.images.hostile_files import encoded, noise, png_chunks, scan_bomb, tile_bomb, webp_canvas

FITS: tuple[Fit | None, ...] = ("crop", "squash", None)
SMALL = Preprocessing(size=(16, 16))
GREY = Preprocessing(size=(28, 20), channels=1, mean=(0.5,), std=(0.5,))

pytestmark = pytest.mark.skipif(not workers_supported(), reason="this system has no workers")


@pytest.mark.parametrize("decoding", ["exact", "scaled"])
def test_photographs_give_the_same_pixels_as_in_this_process(worker, light, photos, decoding):
    preprocessing = Preprocessing(size=(64, 48), crop=0.875, decoding=decoding)
    for number, path in enumerate(sorted(photos.iterdir())):
        data, fit = path.read_bytes(), FITS[number % 3]
        expected, size = read_pixels(data, preprocessing, fit)
        for reader in (worker, light, ThreadReader()):
            pixels, seen = reader.read_pixels(data, preprocessing, fit)
            assert seen == size
            assert np.array_equal(pixels, expected)
    assert worker.restarts == light.restarts == 0


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_every_format_and_a_grey_network(light, name):
    data = encoded(noise(40, 30), name)
    pixels, size = light.read_pixels(data, GREY)
    assert size == (40, 30)
    assert np.array_equal(pixels, read_pixels(data, GREY)[0])
    assert pixels.flags.writeable


def test_masks(light):
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (30, 50), (700, 3)):
        data = encoded(Image.fromarray(rng.random(shape) > 0.5))
        mask = light.decode_mask(data)
        assert mask.dtype == bool
        assert np.array_equal(mask, decode_mask(data))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", NotAnImageError),
        (b"plain text", NotAnImageError),
        (b"\x89PNG\r\n\x1a\n", BrokenImageError),
        (encoded(noise(64, 64))[:2000], BrokenImageError),
        (encoded(Image.new("L", (2000, 600))), ImagePixelsError),
        (b"x" * 60_001, ImageBytesError),
    ],
)
def test_errors_are_the_ones_of_this_process(light, data, error):
    limits = DecodeLimits(max_bytes=60_000, max_pixels=1_000_000)
    with pytest.raises(error) as here:
        read_pixels(data, SMALL, limits=limits)
    with pytest.raises(error) as there:
        light.read_pixels(data, SMALL, limits=limits)
    assert str(there.value) == str(here.value)
    assert light.restarts == 0


def test_a_mask_that_cannot_be_used(light):
    with pytest.raises(NotAnImageError, match="not a PNG"):
        light.decode_mask(b"GIF89a")
    with pytest.raises(ImagePixelsError, match="5,000 x 1"):
        light.decode_mask(encoded(Image.new("1", (5000, 1))))
    with pytest.raises(BrokenImageError, match="chunks"):
        light.decode_mask(png_chunks(*[(b"tEXt", b"a\0b")] * 1000))


def test_bombs_are_refused_from_their_headers(light):
    with pytest.raises(ImagePixelsError, match="a tile of this TIFF"):
        light.read_pixels(tile_bomb(), SMALL)
    with pytest.raises(BrokenImageError, match="scans"):
        light.read_pixels(scan_bomb(2000), SMALL)
    assert light.restarts == 0


def test_a_few_bytes_that_cost_much_are_heavy(light, worker):
    data = webp_canvas(5000, 5000)
    assert len(data) == 40
    with pytest.raises(HeavyImage) as heavy:
        light.read_pixels(data, SMALL)
    assert heavy.value.seconds > 0.25
    assert worker.read_pixels(data, SMALL)[1] == (5000, 5000)
    with pytest.raises(HeavyImage):
        light.decode_mask(encoded(Image.new("RGB", (4096, 4096))))
    assert worker.decode_mask(encoded(Image.new("1", (4096, 4096), 1))).all()
    assert light.restarts == worker.restarts == 0


def test_workers_serve_threads_side_by_side(starter, photos):
    files = [path.read_bytes() for path in sorted(photos.iterdir())[:20]]
    expected = [read_pixels(data, SMALL)[0] for data in files]
    workers = [Worker(starter, light=True) for _ in range(4)]

    def all_of(worker):
        return [worker.read_pixels(data, SMALL)[0] for data in files]

    with ThreadPoolExecutor(4) as pool:
        for pixels in pool.map(all_of, workers):
            assert np.array_equal(pixels, expected)
    for worker in workers:
        worker.close()


def test_a_task_survives_the_way_to_the_worker():
    task = Task("pixels", SMALL.model_dump_json(), None, 5, 6)
    assert Task.decode(task.encode()) == task
