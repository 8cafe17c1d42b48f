import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.errors import DataError
from models.preprocess import PixelRecipe
from training.config import DataConfig
from training.data import Batches, open_or_next, open_source, random_view

RECIPE = PixelRecipe(size=(16, 16), channels=1, mean=(0.5,), std=(0.5,))


def batches(source="synthetic:50", size=8, seed=0, **settings):
    return Batches(open_source(source), DataConfig(uri=source, **settings), RECIPE, size, seed)


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4) for n in array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()) if path.suffix == ".gz" else header + array.tobytes())


def test_each_epoch_has_every_picture_at_most_once_in_an_order_of_its_own():
    loader = batches()
    epochs = [np.concatenate([loader.samples(6 * epoch + i)[1] for i in range(6)]) for epoch in range(2)]

    for samples in epochs:
        assert len(set(samples.tolist())) == 48
    assert epochs[0].tolist() != epochs[1].tolist()


def test_a_batch_is_the_same_from_whichever_step_one_starts():
    through = list(batches().stream(0, 9, workers=3))
    later = list(batches().stream(7, 9, workers=1))

    assert [b.epoch for b in through] == [0] * 6 + [1] * 3
    for a, b in zip(through[7:], later, strict=True):
        assert np.array_equal(a.pixels, b.pixels)


def test_crops_have_the_area_and_aspect_they_are_asked_for():
    config = DataConfig(uri="x", crop_scale=(0.3, 0.9), crop_aspect=(0.75, 4 / 3))
    for u in np.random.default_rng(0).random((500, 5)):
        left, top, right, bottom = random_view((60, 60), config, u)
        assert left >= 0
        assert top >= 0
        assert right <= 60 + 1e-9
        assert bottom <= 60 + 1e-9
        assert 0.25 < (right - left) * (bottom - top) / 3600 <= 0.9 + 1e-9
        assert 0.74 < (right - left) / (bottom - top) < 1.34


def test_flips_happen_half_the_time_and_only_when_asked():
    plain, flipped = (
        next(batches(size=48).stream(0, 1, 1)).pixels,
        next(batches(size=48, flip=True).stream(0, 1, 1)).pixels,
    )
    same = [np.array_equal(a, b) for a, b in zip(plain, flipped, strict=True)]
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(plain, flipped, strict=True)]

    assert 12 < sum(same) < 36
    assert all(s or m for s, m in zip(same, mirrored, strict=True))


def test_too_few_pictures_for_a_batch_is_an_error_with_the_number():
    with pytest.raises(DataError, match="batch_size=50 or less"):
        batches(size=51)


def test_a_folder_names_classes_and_training_replaces_broken_pictures(tmp_path, caplog):
    for name, grey in (("cat/1.png", 10), ("cat/2.PNG", 20), ("dog/1.jpg", 30)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (20, 20), grey).save(tmp_path / name)
    (tmp_path / "cat" / "1.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture either")

    source = open_source(str(tmp_path))

    assert len(source) == 3
    assert source.classes == ("cat", "dog")
    assert source.labels.tolist() == [0, 0, 1]
    with pytest.raises(DataError, match=r"1\.png cannot be read"):
        source.open(0)
    assert open_or_next(source, 0).getpixel((0, 0)) == (20, 20, 20)
    assert open_or_next(source, 0).getpixel((0, 0)) == (20, 20, 20)
    assert caplog.text.count("1.png cannot be read") == 1


def test_a_folder_of_nothing_but_broken_pictures_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match="none of 1 pictures in a row"):
        open_or_next(open_source(f"folder:{tmp_path}"), 0)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_come_with_the_labels_beside_them(tmp_path, suffix):
    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / f"x-images-idx3-ubyte{suffix}", pixels)
    write_idx(tmp_path / f"x-labels-idx1-ubyte{suffix}", np.array([1, 0], dtype=np.uint8))

    source = open_source(f"idx:{tmp_path}/x-images-idx3-ubyte{suffix}")

    assert source.labels.tolist() == [1, 0]
    assert np.array_equal(np.asarray(source.open(1)), pixels[1])


def test_labels_of_other_pictures_are_an_error_with_both_counts(tmp_path):
    write_idx(tmp_path / "a-images-idx3-ubyte", np.zeros((5, 8, 8), dtype=np.uint8))
    write_idx(tmp_path / "a-labels-idx1-ubyte", np.arange(4, dtype=np.uint8))
    with pytest.raises(DataError, match=r"labels of shape \(4,\), .* 5 pictures"):
        open_source(f"idx:{tmp_path / 'a-images-idx3-ubyte'}")


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\x08", b"\0\0\x08\x03\0\0\0\x02", b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", b"PK"]
)
def test_a_broken_idx_file_is_an_error(tmp_path, content):
    (tmp_path / "images").write_bytes(content)
    with pytest.raises(DataError, match="no whole idx file"):
        open_source(f"idx:{tmp_path}/images")


@pytest.mark.parametrize(
    "uri", ["nowhere", "fashion-mnist:validation", "synthetic:many", "idx:/nowhere", "folder:/nowhere"]
)
def test_a_wrong_uri_is_an_error(uri):
    with pytest.raises(DataError):
        open_source(uri)


def test_fashion_mnist_from_debian(fashion_mnist):
    train, test = open_source("fashion-mnist:train"), open_source("fashion-mnist:test")

    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.labels is not None
    assert np.bincount(train.labels).tolist() == [6000] * 10
    assert train.open(0).size == (28, 28)


def test_fashion_mnist_is_fetched_by_torchvision_where_debian_has_none(tmp_path, monkeypatch):
    """Its class is replaced by one that writes what the real one would have fetched: there is no network in tests."""
    import torchvision.datasets

    import training.data as module

    def fetch(root, download):
        assert download
        folder = Path(root) / "FashionMNIST" / "raw"
        folder.mkdir(parents=True)
        write_idx(folder / "t10k-images-idx3-ubyte", np.zeros((10, 28, 28), dtype=np.uint8))
        write_idx(folder / "t10k-labels-idx1-ubyte", np.arange(10, dtype=np.uint8))

    monkeypatch.setattr(module, "PACKAGED_FASHION_MNIST", tmp_path / "nowhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", fetch)
    assert open_source("fashion-mnist:test").labels.tolist() == list(range(10))


def test_fashion_mnist_that_cannot_be_fetched_says_what_to_do(tmp_path, monkeypatch):
    import torchvision.datasets

    import training.data as module

    def refuse(root, download):
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr(module, "PACKAGED_FASHION_MNIST", tmp_path / "nowhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", refuse)
    with pytest.raises(DataError, match="install Debian's package dataset-fashion-mnist, or give other pictures"):
        open_source("fashion-mnist:train")
