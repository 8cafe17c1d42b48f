"""Mean and standard deviation of energies over the images of a source."""

import numpy as np
import pytest
from PIL import Image

from models.bundle.reader import read_bundle
from models.errors import ConfigError, DataError
from models.images.preprocess import to_pixels
from models.images.sources.table import open_source
from models.inference.calibration import calibrate
from models.inference.energy import draw_blocks, energy_maps
from models.runtimes.select import open_runtime


@pytest.fixture(scope="module")
def bundle(golden):
    return read_bundle(golden)


@pytest.fixture(scope="module")
def networks(bundle):
    return open_runtime("onnxruntime", bundle, threads=1, precision="float32")


@pytest.fixture
def folder(tmp_path):
    for i in range(20):
        noise = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((16, 16)).save(tmp_path / f"{i:02}.png")
    return tmp_path


def test_mean_and_deviation_are_those_of_the_energy_maps(bundle, networks, folder):
    """In batches of 16, each with draws of its own."""
    source, manifest = open_source(str(folder)), bundle.manifest
    pixels = np.stack([to_pixels(source.open(i), manifest.model.pixels) for i in range(20)])
    maps = [
        energy_maps(
            networks, manifest, pixels[start : start + 16], draw_blocks(manifest.masking, (4, 4), 12, 3 + start)
        )
        for start in (0, 16)
    ]
    calibration, unreadable = calibrate(networks, manifest, source, masks=12, seed=3)
    assert unreadable == ()
    assert (calibration.images, calibration.masks) == (20, 12)
    np.testing.assert_allclose(calibration.mean, np.nanmean(np.concatenate(maps), axis=0))
    np.testing.assert_allclose(calibration.std, np.nanstd(np.concatenate(maps), axis=0, ddof=1))


def test_unreadable_images_are_left_out_and_named(bundle, networks, folder):
    (folder / "00-broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    (folder / "99-words.jpg").write_text("not an image")
    counted = []

    class Stage:
        def update(self, n=1):
            counted.append(n)

        def note(self, text):
            pass

    from contextlib import contextmanager

    @contextmanager
    def progress(total, description, unit, initial=0):
        counted.append(-total)
        yield Stage()

    calibration, unreadable = calibrate(networks, bundle.manifest, open_source(str(folder)), 12, 0, progress)
    assert calibration.images == 20
    assert calibration.measured_on.endswith("2 of which cannot be read")
    assert len(unreadable) == 2
    assert "00-broken.png cannot be read" in unreadable[0]
    assert "99-words.jpg cannot be read" in unreadable[1]
    assert sum(counted) == 0


def test_one_readable_image_is_too_few(bundle, networks, tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("not an image")
    with pytest.raises(DataError, match=r"has 2 images, 1 of which cannot be read .*need at least 2"):
        calibrate(networks, bundle.manifest, open_source(str(tmp_path)), 12)


def test_too_few_draws_are_an_error(bundle, networks):
    with pytest.raises(ConfigError, match="masks=1 draws of blocks hid some patch"):
        calibrate(networks, bundle.manifest, open_source("synthetic:4"), 1)
