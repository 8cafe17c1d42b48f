"""Sources that hold arrays: idx files, Fashion-MNIST, synthetic images."""

import gzip
import hashlib
import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from models.errors import DataError
from models.images.sources import fashion_mnist as module
from models.images.sources.base import Source
from models.images.sources.table import open_source


def idx(array):
    shape = b"".join(size.to_bytes(4) for size in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + shape + array.astype(np.uint8).tobytes()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (12, 5, 7), dtype=np.uint8)


def write_idx(folder, pixels, labels=None, name="some-images-idx3-ubyte"):
    (folder / name).write_bytes(idx(pixels))
    if labels is not None:
        (folder / name.replace("images-idx3", "labels-idx1")).write_bytes(idx(labels))
    return folder / name


@pytest.mark.parametrize("uri", ["synthetic:3", "idx"])
def test_bytes_are_a_png_of_the_same_pixels(tmp_path, pixels, uri):
    source = open_source(f"idx:{write_idx(tmp_path, pixels)}" if uri == "idx" else uri)
    assert isinstance(source, Source)
    for index in range(len(source)):
        with Image.open(io.BytesIO(source.read(index))) as image:
            assert image.format == "PNG"
            assert np.array_equal(np.asarray(image), np.asarray(source.open(index)))


def test_ids_are_numbers_that_sort_and_uris_say_where_they_are_from(tmp_path, pixels):
    path = write_idx(tmp_path, pixels)
    source = open_source(f"idx:{path}")
    ids = [source.item(i).id for i in range(12)]
    assert ids == sorted(ids) == [f"{i:08d}" for i in range(12)]
    assert source.item(3).uri == f"idx:{path}#00000003"
    assert open_source("synthetic:10").item(3) == ("00000003", "synthetic:10#00000003")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_idx_file_has_the_labels_beside_it(tmp_path, pixels, suffix):
    labels = np.arange(12) % 3
    path = write_idx(tmp_path, pixels, labels)
    if suffix:
        for file in list(tmp_path.iterdir()):
            (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
    source = open_source(f"idx:{path}{suffix}")
    assert np.asarray(source.labels).tolist() == labels.tolist()
    assert source.classes == ("0", "1", "2")
    assert np.array_equal(np.asarray(source.open(5)), pixels[5])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a complete idx file"),
        (b"plain text", "not a complete idx file"),
        (idx(np.zeros((2, 3, 4)))[:-1], "not a complete idx file"),
        (idx(np.zeros(5)), "not images by height by width"),
    ],
)
def test_a_broken_idx_file_is_an_error(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_source(f"idx:{tmp_path / 'file'}")


def test_a_missing_or_broken_gzipped_idx_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        open_source(f"idx:{tmp_path / 'nowhere'}")
    (tmp_path / "file.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match="cannot be read"):
        open_source(f"idx:{tmp_path / 'file.gz'}")


def test_labels_of_other_images_are_an_error_with_both_counts(tmp_path, pixels):
    path = write_idx(tmp_path, pixels, np.zeros(11))
    with pytest.raises(DataError, match=r"labels of shape \(11,\), .* 12 images"):
        open_source(f"idx:{path}")


def test_the_digest_changes_with_a_pixel_and_with_a_label(tmp_path, pixels):
    digests = set()
    for pixel, label in ((0, 0), (1, 0), (0, 1)):
        pixels[0, 0, 0] = pixel
        digests.add(open_source(f"idx:{write_idx(tmp_path, pixels, np.full(12, label))}").digest())
    assert len(digests) == 3


def test_synthetic_images_are_the_same_every_time_and_have_two_classes():
    first, second = open_source("synthetic:6"), open_source("synthetic:6")
    assert [first.read(i) for i in range(6)] == [second.read(i) for i in range(6)]
    assert np.asarray(first.labels).tolist() == [0, 1] * 3
    assert first.digest() != open_source("synthetic:7").digest()


@pytest.mark.parametrize("count", ["", "0", "-1", "ten"])
def test_synthetic_images_need_a_count(count):
    with pytest.raises(DataError, match="expected a number of images"):
        open_source(f"synthetic:{count}")


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A server with files in the place of Fashion-MNIST's: what it serves by name, and what it was asked for."""
    files: dict[str, bytes] = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            content = files.get(self.path.removeprefix("/"))
            self.send_response(200 if content else 404)
            self.send_header("content-length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(module, "MIRROR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(module, "PACKAGED", tmp_path / "not-installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield files, asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def published(mirror, monkeypatch, pixels):
    """Twelve images and labels on the mirror, with their sums."""
    files, _ = mirror
    for name, array in (("images-idx3-ubyte", pixels), ("labels-idx1-ubyte", np.arange(12) % 10)):
        files[f"t10k-{name}.gz"] = gzip.compress(idx(array))
    monkeypatch.setattr(
        module, "MD5", {name: hashlib.md5(data, usedforsecurity=False).hexdigest() for name, data in files.items()}
    )
    return files


def test_fashion_mnist_is_fetched_once(mirror, published, pixels):
    _, asked = mirror
    source = open_source("fashion-mnist:test")
    assert np.array_equal(np.asarray(source.open(7)), pixels[7])
    assert np.asarray(source.labels).tolist() == [i % 10 for i in range(12)]
    assert source.item(7).uri == "fashion-mnist:test#00000007"
    assert sorted(asked) == ["/t10k-images-idx3-ubyte.gz", "/t10k-labels-idx1-ubyte.gz"]
    open_source("fashion-mnist:test")
    assert len(asked) == 2


def test_a_fetched_file_with_another_sum_is_an_error_and_not_kept(mirror, published, tmp_path):
    published["t10k-images-idx3-ubyte.gz"] += b"x"
    with pytest.raises(DataError, match="is not the published file"):
        open_source("fashion-mnist:test")
    assert not list((tmp_path / "cache").rglob("*.gz"))


def test_a_missing_file_on_the_mirror_is_an_error_that_says_what_to_do(mirror):
    with pytest.raises(DataError, match=r"could not be fetched \(.*404.*install Debian's package"):
        open_source("fashion-mnist:test")


def test_no_mirror_is_an_error_that_says_what_to_do(mirror, monkeypatch):
    monkeypatch.setattr(module, "MIRROR", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="could not be fetched"):
        open_source("fashion-mnist:train")


def test_fashion_mnist_has_two_parts():
    with pytest.raises(DataError, match="no part 'validation'; write fashion-mnist:train"):
        open_source("fashion-mnist:validation")


def test_fashion_mnist_of_debian(fashion_mnist):
    source = open_source("fashion-mnist:test")
    assert (len(source), len(source.classes), source.open(0).size) == (10_000, 10, (28, 28))
