import numpy as np
import pytest
from PIL import Image

from models.errors import DataError
from models.images.preprocess import Preprocessing
from models.images.sources.table import open_source
from training.config import DataConfig
from training.data.loader import Batches, Reader

RECIPE = Preprocessing(size=(16, 16), channels=1, mean=(0.5,), std=(0.5,))


def batches(source="synthetic:50", size=8, seed=0, **settings):
    return Batches(Reader(open_source(source)), DataConfig(uri=source, **settings), RECIPE, size, seed)


def test_a_batch_is_the_same_from_whichever_step_one_starts():
    through = list(batches().stream(0, 9, workers=3))
    later = list(batches().stream(7, 9, workers=1))

    assert [b.epoch for b in through] == [0] * 6 + [1] * 3
    for a, b in zip(through[7:], later, strict=True):
        assert np.array_equal(a.pixels, b.pixels)


def test_flips_happen_half_the_time_and_only_when_asked():
    plain, flipped = (
        next(batches(size=48).stream(0, 1, 1)).pixels,
        next(batches(size=48, flip=True).stream(0, 1, 1)).pixels,
    )
    same = [np.array_equal(a, b) for a, b in zip(plain, flipped, strict=True)]
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(plain, flipped, strict=True)]

    assert 12 < sum(same) < 36
    assert all(s or m for s, m in zip(same, mirrored, strict=True))


@pytest.fixture
def partly_broken(tmp_path):
    """Three images of which the first is broken."""
    for name, grey in (("1.png", 10), ("2.png", 20), ("3.jpg", 30)):
        Image.new("L", (20, 20), grey).save(tmp_path / name)
    (tmp_path / "1.png").write_bytes(b"not an image")
    return tmp_path


def test_a_broken_image_is_replaced_named_once_and_counted(partly_broken, caplog):
    reader = Reader(open_source(str(partly_broken)))

    assert [reader.open(0).getpixel((0, 0)) for _ in range(3)] == [(20, 20, 20)] * 3
    assert caplog.text.count("1.png cannot be read") == 1
    assert list(reader.broken) == [0]
    assert "1.png" in reader.broken[0]


def test_batches_are_whole_in_spite_of_broken_images(partly_broken):
    loader = Batches(Reader(open_source(str(partly_broken))), DataConfig(uri="x"), RECIPE, batch_size=3, seed=0)
    batch = next(loader.stream(0, 1, workers=2))

    assert sorted(batch.pixels.mean(axis=(1, 2, 3)).tolist()) == [20, 20, 30]
    assert len(loader.reader.broken) == 1


def test_only_broken_images_are_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match="none of 1 images in a row"):
        Reader(open_source(f"folder:{tmp_path}")).open(0)
