"""The same images in every layout, local and in a store, are the same source."""

import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.errors import DataError
from models.images.sources.base import BY_BYTES, Source
from models.images.sources.table import SOURCES, absolute_uri, check_exists, open_source
from tests.sources import copy_to_store, noise_images, some_photos, write_layouts

LAYOUTS = ["folder", "tar", "zip", "parquet", "jsonl", "base64", "list"]
COUNT = 10


@pytest.fixture(scope="module")
def samples(photos):
    return some_photos(photos, COUNT)


@pytest.fixture(scope="module")
def uris(samples, tmp_path_factory):
    return write_layouts(tmp_path_factory.mktemp("layouts"), samples)


@pytest.fixture(scope="module")
def noise_uris(tmp_path_factory):
    return write_layouts(tmp_path_factory.mktemp("noise"), noise_images(COUNT))


@pytest.fixture
def store():
    """A store in memory."""
    import fsspec

    yield "memory://bucket"
    fsspec.filesystem("memory").store.clear()


def check_same(source, samples):
    """The same bytes, pixels, classes, and ids that find them again."""
    assert isinstance(source, Source)
    assert len(source) == len(samples)
    assert source.classes == ("a", "b")
    assert [source.classes[i] for i in source.labels] == [sample.label for sample in samples]
    assert [source.read(i) for i in range(len(samples))] == [sample.data for sample in samples]
    ids = [source.item(i).id for i in range(len(samples))]
    assert len(set(ids)) == len(ids)
    assert all(source.has(each) for each in ids)
    assert [source.read_id(each) for each in ids] == [sample.data for sample in samples]
    assert not source.has("nothing")
    with pytest.raises(DataError, match="not in its source any more"):
        source.read_id("nothing")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_photographs_are_the_same_in_every_layout(layout, uris, samples):
    source, folder = open_source(uris[layout]), open_source(uris["folder"])
    check_same(source, samples)
    for i in range(0, COUNT, 3):
        assert np.array_equal(np.asarray(source.open(i)), np.asarray(folder.open(i)))


@pytest.mark.parametrize("layout", [*LAYOUTS, "idx"])
def test_grey_images_of_one_size_have_the_same_pixels_in_every_layout(layout, tmp_path):
    samples = noise_images(4, colour=False, name="PNG")
    uris = write_layouts(tmp_path, samples)
    source, folder = open_source(uris[layout]), open_source(uris["folder"])
    assert np.array_equal(source.labels, folder.labels)
    for i in range(4):
        assert np.array_equal(np.asarray(source.open(i).convert("L")), np.asarray(folder.open(i).convert("L")))


@pytest.mark.parametrize("layout", [*LAYOUTS, "idx"])
def test_every_layout_is_read_from_a_store(layout, tmp_path, store):
    samples = noise_images(4, colour=layout != "idx", name="PNG")
    uri = copy_to_store(write_layouts(tmp_path, samples)[layout], store)
    source = open_source(uri)
    if layout == "idx":
        assert (len(source), source.classes) == (4, ("0", "1"))
        return
    check_same(source, samples)
    assert source.digest() == open_source(uri).digest()
    if layout not in ("base64",):
        assert source.item(0).uri.startswith("memory://")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_bare_path_or_url_is_recognised(layout, noise_uris, store):
    uri = noise_uris[layout]
    for each in (uri, copy_to_store(uri, f"{store}/bare")):
        bare = each.partition(":")[2]
        check_exists(bare)
        assert open_source(bare).fingerprint == open_source(each).fingerprint
        assert open_source(absolute_uri(bare)).fingerprint == open_source(absolute_uri(each)).fingerprint


def test_every_kind_of_source_that_has_a_path_is_tried_here():
    kinds = {kind for kind, member in SOURCES.items() if member.is_path}
    assert kinds == {"folder", "tar", "zip", "parquet", "jsonl", "list", "idx"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_source_is_read_by_threads_after_a_fork_and_after_pickling(layout, noise_uris):
    source = open_source(noise_uris[layout])
    expected = [source.read(i) for i in range(COUNT)]
    source.has("a")
    order = list(range(COUNT)) * 8
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(source.read, order)) == [expected[i] for i in order]
    child = os.fork()
    if not child:
        os._exit(0 if [source.read(i) for i in range(COUNT)] == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
    copied = pickle.loads(pickle.dumps(source))
    assert [copied.read(i) for i in range(COUNT)] == expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_digest_changes_with_a_byte(layout, tmp_path):
    first, second = tmp_path / "1", tmp_path / "2"
    samples = noise_images(4)
    for root in (first, second):
        root.mkdir()
    before = open_source(write_layouts(first, samples)[layout])
    data = bytearray(samples[2].data)
    data[-5] ^= 1
    samples[2] = samples[2]._replace(data=bytes(data))
    after = open_source(write_layouts(second, samples)[layout])
    assert before.fingerprint == after.fingerprint
    assert before.digest() != after.digest()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_broken_image_is_an_error_that_names_it(layout, tmp_path):
    samples = noise_images(2)
    samples[1] = samples[1]._replace(data=b"\xff\xd8\xff" + b"x" * 90)
    source = open_source(write_layouts(tmp_path, samples)[layout])
    with pytest.raises(DataError, match="cannot be read: this JPEG"):
        source.open(1)
    assert source.open(0).size == (24, 24)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_listing_reports_progress(layout, noise_uris):
    from contextlib import nullcontext
    from types import SimpleNamespace

    stages = []

    def progress(total, description, unit, initial=0):
        stages.append((description, unit))
        return nullcontext(SimpleNamespace(update=lambda n=1: None, note=print))

    SOURCES[noise_uris[layout].partition(":")[0]].open(noise_uris[layout].partition(":")[2], BY_BYTES, progress)
    assert stages
    assert stages[0][0].startswith("listing ")
