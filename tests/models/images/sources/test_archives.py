"""Tar and zip archives: samples, labels, and files that are damaged or hostile."""

import io
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest

from models.errors import DataError
from models.images.sources import encoded, tar_index, zip  # noqa: A004
from models.images.sources.table import open_source
from models.io import cache_folder
from tests.sources import add_to_tar, noise_images, write_tar

SAMPLES = noise_images(6)
DATA = SAMPLES[0].data


def ids(source):
    return [source.item(i).id for i in range(len(source))]


def tar_of(path, files, **given):
    with tarfile.open(path, "w", **given) as archive:
        for name, data in files:
            add_to_tar(archive, name, data)
    return path


def zip_of(path, files, kind=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return path


def test_ids_are_the_shard_and_the_name_and_stay_when_shards_are_added(tmp_path):
    write_tar(tmp_path / "set", SAMPLES, shards=2)
    source = open_source(f"tar:{tmp_path / 'set'}")
    assert ids(source)[2:4] == ["000000.tar/0002.jpg", "000001.tar/0003.jpg"]
    assert source.item(3).uri == f"{tmp_path}/set/000001.tar#0003.jpg"
    pattern = open_source(f"tar:{tmp_path}/set/{{000000..000001}}.tar")
    assert ids(pattern) == ids(source) == ids(open_source(f"tar:{tmp_path}/set/*.tar"))
    assert ids(open_source(f"tar:{tmp_path}/set/000001.tar")) == ids(source)[3:]


@pytest.mark.parametrize(
    ("texts", "classes", "labels"),
    [
        ((".cls", "10", "9", "10"), ("9", "10"), [1, 0, 1]),
        ((".json", '{"label": "x"}', '{"label": "y", "cls": 1}', '{"label": "x"}'), ("x", "y"), [0, 1, 0]),
        ((".json", '{"caption": "x"}', '{"label": "y"}', '{"label": "x"}'), (), None),
        ((".json", "{", '{"label": "y"}', '{"label": "x"}'), (), None),
        ((".cls", "1", "2", None), (), None),
    ],
)
def test_labels_are_those_of_the_samples_and_there_for_all_or_for_none(tmp_path, texts, classes, labels):
    suffix, *texts = texts
    files = []
    for i, text in enumerate(texts):
        files.append((f"{i}.jpg", DATA))
        files += [(f"{i}{suffix}", text.encode())] if text is not None else []
    source = open_source(str(tar_of(tmp_path / "x.tar", files)))
    assert source.classes == classes
    assert labels == (None if source.labels is None else source.labels.tolist())


def test_without_labels_folders_below_what_is_common_are_classes(tmp_path):
    files = [("set/v1/cat/a/0.jpg", DATA), ("set/v1/dog/1.jpg", DATA), ("set/v1/2.jpg", DATA)]
    for source in (
        open_source(str(tar_of(tmp_path / "x.tar", files))),
        open_source(str(zip_of(tmp_path / "x.zip", files))),
    ):
        assert source.classes == ("", "cat", "dog")
        assert source.labels.tolist() == [1, 2, 0]


def test_a_sample_has_one_image_and_what_else_there_is_is_counted(tmp_path):
    files = [
        ("0.jpg", DATA), ("0.seg.png", DATA), ("0.txt", b"caption"), ("a.b/1.png", DATA), ("photo.2020.01.jpg", DATA),
        ("photo.2020.02.jpg", DATA), ("._0.jpg", DATA), ("README", b""),
    ]  # fmt: skip
    source = open_source(str(tar_of(tmp_path / "x.tar", files)))
    assert ids(source) == [f"x.tar/{name}" for name in ("0.jpg", "a.b/1.png", "photo.2020.01.jpg", "photo.2020.02.jpg")]
    assert source.skipped == {".png": 1, ".txt": 1, "hidden files": 1, "no suffix": 1}


def test_a_name_that_an_archive_has_twice_is_one_image(tmp_path):
    tar_of(tmp_path / "x.tar", [("0.jpg", DATA), ("1.jpg", DATA), ("0.jpg", SAMPLES[1].data)])
    with pytest.warns(UserWarning, match="Duplicate name"):
        zip_of(tmp_path / "x.zip", [("0.jpg", DATA), ("1.jpg", DATA), ("0.jpg", SAMPLES[1].data)])
    for source in (open_source(f"{tmp_path}/x.tar"), open_source(f"{tmp_path}/x.zip")):
        assert [name.rpartition("/")[2] for name in ids(source)] == ["0.jpg", "1.jpg"]
        assert source.skipped == {"images with an id that another has": 1}
        assert source.read_id(ids(source)[0]) == DATA


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read_in_every_format(tmp_path, form):
    name = f"{'d' * 90}/{'n' * 90}é.jpg"
    source = open_source(str(tar_of(tmp_path / "x.tar", [(name, DATA)], format=form)))
    assert ids(source) == [f"x.tar/{name}"]
    assert source.read(0) == DATA


def test_an_index_is_made_once_and_again_when_the_archive_changes(tmp_path, monkeypatch):
    path = tar_of(tmp_path / "x.tar", [("0.jpg", DATA)])
    open_source(str(path))
    scans = []
    scan = tar_index.scan
    monkeypatch.setattr(tar_index, "scan", lambda place: scans.append(place) or scan(place))
    assert ids(open_source(str(path))) == ["x.tar/0.jpg"]
    assert not scans
    tar_of(path, [("0.jpg", DATA), ("1.jpg", DATA)])
    assert len(open_source(str(path))) == 2
    assert scans == [str(path)]
    for file in cache_folder("indexes").iterdir():
        file.write_bytes(b"damaged")
    assert len(open_source(str(path))) == 2
    assert len(scans) == 2


def test_a_damaged_archive_is_an_error_that_says_where(tmp_path):
    path = tar_of(tmp_path / "x.tar", [(f"{i}.jpg", DATA) for i in range(3)])
    whole = path.read_bytes()
    second = whole.index(b"1.jpg")
    cases = {
        whole[: second + 700]: r"x\.tar is (cut off in 1\.jpg|damaged)",
        whole[:second] + b"garbage".ljust(512, b"!") + whole[second + 512 :]: f"is damaged at byte {second:,}",
        b"not a tar" * 100: "is damaged or not a tar archive",
        b"\x1f\x8b" + whole: "is compressed with gzip",
        b"\xfd7zXZ\0" + whole: "is compressed with xz",
    }
    for content, message in cases.items():
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            open_source(str(path))


def test_an_archive_that_is_cut_off_after_its_listing_is_an_error_of_the_image(tmp_path):
    path = tar_of(tmp_path / "x.tar", [("0.jpg", DATA)])
    source = open_source(str(path))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(DataError, match=r"x\.tar ends at byte 600"):
        source.open(0)


def test_archives_are_bounded(tmp_path, monkeypatch):
    path = tar_of(tmp_path / "x.tar", [("0.jpg", DATA), ("1.jpg", DATA)])
    source = open_source(str(path))
    monkeypatch.setattr(encoded, "MAX_IMAGE_BYTES", 10)
    with pytest.raises(DataError, match=r"x\.tar#0\.jpg has .* bytes, an image may have 10"):
        source.read(0)
    monkeypatch.setattr(tar_index, "MAX_MEMBERS", 1)
    with pytest.raises(DataError, match="has more than 1 files; split it"):
        tar_index.scan(str(path))
    long = tar_of(tmp_path / "y.tar", [("n" * 70_000 + ".jpg", DATA)], format=tarfile.GNU_FORMAT)
    with pytest.raises(DataError, match=r"has a header of 70,\d+ bytes"):
        tar_index.scan(str(long))


def test_a_zip_of_another_size_than_it_states_is_not_decompressed_further(tmp_path):
    """A megabyte of zeros that states ten bytes: neither more than it states is kept, nor is less accepted."""
    path = zip_of(tmp_path / "x.zip", [("0.jpg", bytes(2**20))])
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<L", 2**20), struct.pack("<L", 10)))
    with pytest.raises(DataError, match=r"x\.zip#0\.jpg is damaged: its bytes are not those"):
        open_source(str(path)).read(0)


def test_a_zip_is_bounded(tmp_path, monkeypatch):
    path = zip_of(tmp_path / "x.zip", [("0.jpg", bytes(2**20))])
    source = open_source(str(path))
    monkeypatch.setattr(encoded, "MAX_IMAGE_BYTES", 2**20 - 1)
    with pytest.raises(DataError, match="has 1,048,576 bytes, an image may have 1,048,575"):
        source.read(0)
    monkeypatch.setattr(zip, "MAX_DIRECTORY_BYTES", 30)
    with pytest.raises(DataError, match="has a list of files of"):
        open_source(str(path))


def test_a_damaged_zip_is_an_error(tmp_path):
    path = zip_of(tmp_path / "x.zip", [("0.jpg", DATA), ("1.jpg", DATA)])
    content = bytearray(path.read_bytes())
    content[50] ^= 255
    path.write_bytes(content)
    source = open_source(str(path))
    with pytest.raises(DataError, match=r"x\.zip#0\.jpg (is damaged|cannot be decompressed)"):
        source.read(0)
    assert source.read(1) == DATA
    path.write_bytes(content[:-40])
    with pytest.raises(DataError, match=r"x\.zip is damaged or not a zip archive"):
        open_source(str(path))


def test_what_a_zip_holds_besides_is_counted(tmp_path):
    files = [("a/0.jpg", DATA), ("__MACOSX/a/._0.jpg", DATA), ("a/notes.txt", b""), ("a/", b""), ("LICENSE", b"")]
    path = zip_of(tmp_path / "x.zip", files)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a/1.jpg", DATA)
    source = open_source(str(path))
    assert ids(source) == ["x.zip/a/0.jpg"]
    assert source.skipped == {"hidden files": 1, ".txt": 1, "no suffix": 1, "files in another compression": 1}


def test_an_encrypted_file_is_counted(tmp_path):
    path = zip_of(tmp_path / "x.zip", [("0.jpg", DATA), ("1.jpg", DATA)])
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    source = open_source(str(path))
    assert ids(source) == ["x.zip/1.jpg"]
    assert source.skipped == {"encrypted files": 1}


def test_extra_fields_of_any_length_are_passed_over(tmp_path):
    path = tmp_path / "x.zip"
    info = zipfile.ZipInfo("0.jpg")
    info.extra = struct.pack("<HH", 0x9999, 300) + bytes(300)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, DATA)
    assert open_source(str(path)).read(0) == DATA


@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_an_archive_without_images_is_an_error_that_says_what_it_holds(tmp_path, suffix):
    write = {"tar": tar_of, "zip": zip_of}[suffix]
    path = write(tmp_path / f"x.{suffix}", [("a.txt", b"")])
    with pytest.raises(DataError, match=r"no images in .*; it holds 1 \.txt"):
        open_source(str(path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=rf"there is no file \*\.{suffix} in"):
        open_source(f"{suffix}:{tmp_path / 'empty'}")
    with pytest.raises(DataError, match=r"nothing.* cannot be read: No such file"):
        open_source(f"{suffix}:{tmp_path}/nothing.{suffix}")


def test_a_million_listed_images_take_little_memory():
    """About 100 bytes an image."""
    from models.images.sources.strings import Strings

    count = 20_000
    names = Strings(f"shard-{i // 1000:06d}.tar/{i:08d}.jpg" for i in range(count))
    assert (len(names.content) + names.ends.nbytes) / count < 45
    assert names.find("shard-000019.tar/00019999.jpg") == 19_999
    assert names.find("shard-000019.tar/00020000.jpg") is None
    assert np.array_equal(names.first_of_each(), np.arange(count))


def test_a_gzipped_idx_file_is_decompressed_within_a_limit(tmp_path, monkeypatch):
    from models.images.sources import idx

    monkeypatch.setattr(idx, "MAX_IDX_BYTES", 1000)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    (tmp_path / "x.gz").write_bytes(packer.compress(bytes(10**6)) + packer.flush())
    with pytest.raises(DataError, match=r"x\.gz has more than 1,000 bytes \(decompressed\)"):
        open_source(f"idx:{tmp_path}/x.gz")
    (tmp_path / "x").write_bytes(io.BytesIO(bytes(2000)).read())
    with pytest.raises(DataError, match="has more than 1,000 bytes"):
        open_source(f"idx:{tmp_path}/x")
