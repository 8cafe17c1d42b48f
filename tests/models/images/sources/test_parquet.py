"""Parquet files: columns, splits, classes, row groups, data sets of the hub."""

import json

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from models.errors import DataError
from models.images.sources import encoded, parquet_files
from models.images.sources.base import blocks_of
from models.images.sources.splits import split_of
from models.images.sources.table import check_exists, open_source
from tests.sources import noise_images, write_parquet

SAMPLES = noise_images(6)
DATA = [sample.data for sample in SAMPLES]


def ids(source):
    return [source.item(i).id for i in range(len(source))]


def write(path, columns, metadata=None, **given):
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata(metadata or {}), path, **given)
    return path


def test_ids_are_the_file_and_the_number_of_the_row(tmp_path):
    source = open_source(f"parquet:{write_parquet(tmp_path / 'set', SAMPLES, files=2, rows=2)}")
    assert ids(source)[2:4] == [
        "data/train-00000-of-00002.parquet/00000002",
        "data/train-00001-of-00002.parquet/00000000",
    ]
    assert source.item(3).uri == f"{tmp_path}/set/data/train-00001-of-00002.parquet#00000000"
    assert source.read_id("data/train-00001-of-00002.parquet/1") == DATA[4]
    for gone in ("data/train-00001-of-00002.parquet/00000003", "other/00000000", "00000000", "x/-1", "x/²"):
        assert not source.has(gone)
    assert blocks_of(source).tolist() == [0, 2, 3, 5]


@pytest.mark.parametrize("name", ["image", "photo", "anything"])
def test_a_column_of_bytes_holds_images(tmp_path, name):
    path = write(tmp_path / "x.parquet", {"number": [1, 2], name: pa.array(DATA[:2], pa.large_binary())})
    source = open_source(str(path))
    assert [source.read(i) for i in range(2)] == DATA[:2]
    assert (source.labels, source.classes) == (None, ())


def test_of_several_columns_of_bytes_the_one_that_is_named_or_marked_as_an_image_is_taken(tmp_path):
    columns = {"mask": pa.array([b"m"]), "image": pa.array(DATA[:1]), "scan": pa.array(DATA[1:2])}
    path = write(tmp_path / "x.parquet", columns)
    assert open_source(str(path)).read(0) == DATA[0]
    metadata = {"huggingface": json.dumps({"info": {"features": {"scan": {"_type": "Image"}}}})}
    assert open_source(str(write(path, columns, metadata))).read(0) == DATA[1]


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        (pa.array([7, 3, 7], pa.int32()), ("3", "7"), [1, 0, 1]),
        (pa.array(["dog", "cat", "dog"]), ("cat", "dog"), [1, 0, 1]),
        (pa.array([0, None, 1]), (), None),
        (pa.array([0, -1, 1]), (), None),
        (pa.array([0.5, 1.0, 2.0]), (), None),
    ],
)
def test_labels_without_names_are_classes_by_value(tmp_path, labels, classes, numbers):
    source = open_source(str(write(tmp_path / "x.parquet", {"image": DATA[:3], "label": labels})))
    assert source.classes == classes
    assert numbers == (None if source.labels is None else source.labels.tolist())


@pytest.mark.parametrize(
    "metadata", ["{", '{"info": 1}', '{"info": {"features": {"image": 1, "label": []}}}', "[" * 9999]
)
def test_metadata_that_are_damaged_do_not_matter(tmp_path, metadata):
    path = write(tmp_path / "x.parquet", {"image": DATA[:2], "label": [0, 1]}, {"huggingface": metadata})
    assert open_source(str(path)).classes == ("0", "1")


def test_classes_of_numbers_that_have_no_name_do_not_count(tmp_path):
    features = {"label": {"_type": "ClassLabel", "names": ["a"]}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    path = write(tmp_path / "x.parquet", {"image": DATA[:2], "label": [0, 1]}, metadata)
    assert open_source(str(path)).labels is None


def test_files_that_name_other_classes_have_the_classes_of_all(tmp_path):
    write_parquet(tmp_path, [s._replace(label="z") for s in SAMPLES[:2]], files=1, split="a")
    write_parquet(tmp_path, SAMPLES, files=1, split="b")
    source = open_source(f"parquet:{tmp_path}/data/*.parquet")
    assert source.classes == ("a", "b", "z")
    assert source.labels.tolist() == [2, 2, 0, 0, 0, 1, 1, 1]


def test_of_several_splits_train_is_taken_and_the_others_are_counted(tmp_path):
    write_parquet(tmp_path, SAMPLES[:4], split="train")
    write_parquet(tmp_path, SAMPLES[4:], files=1, split="test")
    source = open_source(str(tmp_path))
    assert (len(source), source.skipped) == (4, {"files of 'test'": 1})
    assert source.description == f"4 images of the split 'train' of {tmp_path.name!r}"
    assert len(open_source(f"parquet:{tmp_path}/data/*.parquet")) == 6
    assert len(open_source(f"{tmp_path}/data/test-*.parquet")) == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("data/train-00000-of-00004.parquet", ("", "train")),
        ("train.parquet", ("", "train")),
        ("my_split-00000-of-00001.parquet", ("", "my_split")),
        ("default/train/0000.parquet", ("default", "train")),
        ("small/partial-train/0000.parquet", ("small", "train")),
        ("plain_text/test-00000-of-00001.parquet", ("plain_text", "test")),
        ("test_2.parquet", ("", "test")),
        ("images-7.parquet", ("", "")),
        ("2024/images.parquet", ("2024", "")),
    ],
)
def test_the_split_is_in_the_path(name, expected):
    assert split_of(name) == expected


def test_a_damaged_file_is_an_error(tmp_path, monkeypatch):
    path = write(tmp_path / "x.parquet", {"image": DATA})
    whole = path.read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little")
    for content, message in (
        (b"", "is not a complete Parquet file"),
        (b"PAR1", "is not a complete Parquet file"),
        (whole[:-20], "is not a complete Parquet file"),
        (whole[: -8 - footer] + b"\xff" * footer + whole[-8:], "is a damaged Parquet file"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            open_source(str(path))
    path.write_bytes(whole[:4] + bytes(200) + whole[204:])
    with pytest.raises(DataError, match=r"is a damaged Parquet file|is damaged"):
        open_source(str(path)).read(0)
    monkeypatch.setattr(parquet_files, "MAX_FOOTER_BYTES", 10)
    with pytest.raises(DataError, match="has a description of"):
        open_source(str(path))


def test_a_file_without_images_is_an_error_that_names_its_columns(tmp_path):
    path = write(tmp_path / "x.parquet", {"text": ["a"], "number": [1]})
    with pytest.raises(DataError, match=r"has no column of images.* it has text \(string\), number \(int64\)"):
        open_source(str(path))
    empty = write(tmp_path / "y.parquet", {"image": pa.array([], pa.binary())})
    with pytest.raises(DataError, match=r"no images in .*y\.parquet"):
        open_source(str(empty))


def test_cells_and_row_groups_are_bounded(tmp_path, monkeypatch):
    path = write(tmp_path / "x.parquet", {"image": pa.array([DATA[0], None])})
    source = open_source(str(path))
    with pytest.raises(DataError, match=r"x\.parquet#00000001 has no bytes"):
        source.read(1)
    monkeypatch.setattr(encoded, "MAX_IMAGE_BYTES", 10)
    with pytest.raises(DataError, match=r"x\.parquet#00000000 has .* bytes, an image may have 10"):
        source.read(0)
    monkeypatch.setattr(parquet_files, "MAX_GROUP_BYTES", 10)
    with pytest.raises(DataError, match=r"has a row group of .* bytes, at most 10 are read"):
        open_source(str(path)).read(0)


def test_row_groups_that_were_read_last_are_kept_within_a_size(tmp_path, monkeypatch):
    path = write(tmp_path / "x.parquet", {"image": DATA}, row_group_size=1)
    source = open_source(str(path))
    reads = []
    read = parquet_files.read_column
    monkeypatch.setattr(parquet_files, "read_column", lambda *given: reads.append(given[1]) or read(*given))
    for i in (0, 1, 0, 1):
        source.read(i)
    assert reads == [[0], [1]]
    monkeypatch.setattr(parquet_files, "KEPT_BYTES", 1)
    for i in (2, 2, 3, 2):
        assert source.read(i) == DATA[i]
    assert reads[2:] == [[2], [3], [2]]


class Hub(MemoryFileSystem):  # type: ignore[misc]
    """The hub's paths in memory."""

    protocol = "hf"
    store: dict = {}  # noqa: RUF012
    pseudo_dirs: list = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("hf://", "memory://"))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A function that puts a data set on the hub: its name, and samples by path of their file."""
    monkeypatch.setitem(_registry, "hf", Hub)
    monkeypatch.setattr(Hub, "store", {})
    monkeypatch.setattr(Hub, "pseudo_dirs", [""])

    def put(name, files):
        for number, (path, samples) in enumerate(files.items()):
            local = write_parquet(tmp_path / f"{name.replace('/', '-')}-{number}", samples, files=1) / "data"
            content = next(iter(local.iterdir())).read_bytes()
            fsspec.filesystem("hf").pipe_file(f"/datasets/{name}/{path}", content)

    return put


def test_a_data_set_of_the_hub_has_splits(hub):
    split = "data/{}-00000-of-00001.parquet"
    hub("me/set", {split.format("train"): SAMPLES[:4], split.format("test"): SAMPLES[4:]})
    source = open_source("hf://datasets/me/set")
    assert [source.read(i) for i in range(4)] == DATA[:4]
    assert source.item(0).uri == "hf://datasets/me/set/data/train-00000-of-00001.parquet#00000000"
    assert source.skipped == {"files of 'test'": 1}
    for uri in ("hf://datasets/me/set:test", "parquet:hf://datasets/me/set:test"):
        check_exists(uri)
        assert len(open_source(uri)) == 2
    assert len(open_source("hf://datasets/me/set/data/*.parquet")) == 6
    with pytest.raises(DataError, match="has no split 'nothing'; it has test, train"):
        open_source("hf://datasets/me/set:nothing")


def test_a_data_set_of_the_hub_has_configurations(hub):
    hub("me/set", {f"{config}/train-00000-of-00001.parquet": SAMPLES[:2] for config in ("small", "large")})
    assert len(open_source("hf://datasets/me/set:small/train")) == 2
    with pytest.raises(DataError, match=r"has several configurations \(large, small\); name one and a split"):
        open_source("hf://datasets/me/set")


def test_of_other_formats_the_copy_that_the_hub_converted_is_read(hub):
    hub("me/set@refs%2Fconvert%2Fparquet", {"default/partial-train/0000.parquet": SAMPLES[:3]})
    fsspec.filesystem("hf").pipe_file("/datasets/me/set/images.zip", b"")
    source = open_source("hf://datasets/me/set")
    assert [source.read(i) for i in range(3)] == DATA[:3]
    fsspec.filesystem("hf").pipe_file("/datasets/me/other/images.zip", b"")
    with pytest.raises(DataError, match="me/other has no Parquet files, and the hub has not converted it"):
        open_source("hf://datasets/me/other")


def test_real_data_sets_are_read(real_data):
    """Tiny ImageNet and CIFAR-10 in the layout of the hub."""
    for folder, count, classes in (("tiny-imagenet", 100_000, 200), ("cifar-10", 50_000, 10)):
        source = open_source(str(real_data / folder))
        assert (len(source), len(source.classes)) == (count, classes)
        assert np.bincount(source.labels).tolist() == [count // classes] * classes
        assert source.skipped.total() == 1
        size = source.open(count - 1).size
        assert size in ((64, 64), (32, 32))
