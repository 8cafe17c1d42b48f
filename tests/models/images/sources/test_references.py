"""Lists of images: JSONL and plain text."""

import base64
import json

import fsspec
import pytest

from models.errors import DataError
from models.images.sources import references
from models.images.sources.table import absolute_uri, open_source
from tests.sources import noise_images, write_folder

SAMPLES = noise_images(4)
DATA = SAMPLES[0].data
ENCODED = base64.b64encode(DATA).decode()


@pytest.fixture
def folder(tmp_path):
    """A folder `images` with four images, two of the class a and two of b."""
    write_folder(tmp_path / "images", SAMPLES)
    return tmp_path


def jsonl(folder, *lines):
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "x.jsonl").write_text(text)
    return open_source(str(folder / "x.jsonl"))


def ids(source):
    return [source.item(i).id for i in range(len(source))]


@pytest.mark.parametrize("field", ["image", "path", "uri", "url", "file_name"])
def test_a_field_names_the_image_relative_to_the_file_absolutely_or_by_url(folder, field):
    fsspec.filesystem("memory").pipe_file("/bucket/0.jpg", SAMPLES[2].data)
    absolute = str(folder / "images/a/0001.jpg")
    places = ["images/a/0000.jpg", absolute, "memory://bucket/0.jpg", f"file://{folder}/images/b/0003.jpg"]
    source = jsonl(folder, *({field: place} for place in places))
    assert ids(source) == places
    assert [source.read(i) for i in range(4)] == [sample.data for sample in SAMPLES]
    assert source.item(0).uri == str(folder / "images/a/0000.jpg")


@pytest.mark.parametrize(
    "line",
    [
        {"image": ENCODED},
        {"image": f"data:image/jpeg;base64,{ENCODED}"},
        {"image": {"bytes": ENCODED, "path": None}},
        {"image_base64": ENCODED},
        {"b64_json": ENCODED, "path": "elsewhere.jpg"},
    ],
)
def test_an_image_may_be_in_its_line(folder, line):
    source = jsonl(folder, {"image": "images/a/0001.jpg"}, line)
    assert ids(source) == ["images/a/0001.jpg", "00000002"]
    assert source.read(1) == DATA
    assert source.item(1).uri.startswith(f"{folder}/x.jsonl#")


def test_an_id_of_a_line_is_the_id(folder):
    source = jsonl(folder, {"id": "first", "image": "images/a/0000.jpg"}, {"id": 7, "image": ENCODED})
    assert ids(source) == ["first", "7"]
    assert source.read_id("7") == DATA


def test_labels_are_there_for_all_or_for_none(folder):
    place = "images/a/000{}.jpg"
    lines = [{"image": place.format(i), "label": label} for i, label in enumerate([10, 9])]
    assert jsonl(folder, *lines).classes == ("9", "10")
    assert jsonl(folder, *lines).labels.tolist() == [1, 0]
    assert jsonl(folder, *lines, {"image": "images/b/0002.jpg"}).labels is None
    assert jsonl(folder, *lines, {"image": "images/b/0002.jpg", "label": ["x"]}).labels is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "x.jsonl, line 2: "),
        ("[1]", "line 2: expected an object, not list"),
        ('{"image": "a\\u0000b"}', "is not a path"),
        (json.dumps({"image": "a/" * 9000}), "is not a path"),
        ('{"a":' * 2000 + "1" + "}" * 2000, "line 2: "),
        ('{"image": "\\ud800"}', "line 2: "),
    ],
)
def test_a_malformed_line_is_an_error_that_names_it(folder, line, message):
    with pytest.raises(DataError, match=message):
        jsonl(folder, {"image": "images/a/0000.jpg"}, line)


def test_damaged_base64_is_an_error_of_its_image(folder):
    source = jsonl(folder, {"image_base64": "!" + ENCODED}, {"image_base64": ENCODED})
    with pytest.raises(DataError, match=r"x\.jsonl#0 cannot be read: its base64 is damaged"):
        source.open(0)
    assert source.read(1) == DATA


def test_lines_without_an_image_and_repeated_ones_are_counted(folder):
    line = {"image": "images/a/0000.jpg"}
    source = jsonl(folder, line, "", {"text": "x"}, line)
    assert source.skipped == {"empty lines": 1, "lines without an image": 1, "images with an id that another has": 1}
    with pytest.raises(DataError, match=r"no images in .*x\.jsonl.*; it holds 1 lines without an image"):
        jsonl(folder, {"text": "x"})


def test_lines_are_bounded(folder, monkeypatch):
    monkeypatch.setattr(references, "MAX_LINE_BYTES", 100)
    with pytest.raises(DataError, match=r"x\.jsonl, line 2 has more than 100 bytes; is it a list\?"):
        jsonl(folder, {"image": "images/a/0000.jpg"}, {"image": "x" * 100})


def test_an_image_that_is_not_there_is_an_error_when_it_is_read(folder):
    source = jsonl(folder, {"image": "images/nothing.jpg"})
    with pytest.raises(DataError, match=r"images/nothing\.jpg cannot be read: No such file"):
        source.open(0)


@pytest.mark.parametrize("place", ["/etc/passwd", "file:///etc/passwd"])
def test_a_list_in_a_store_cannot_name_local_files(place):
    store = fsspec.filesystem("memory")
    store.pipe_file("/bucket/list.txt", f"a.jpg\n{place}\n".encode())
    store.pipe_file("/bucket/a.jpg", DATA)
    with pytest.raises(
        DataError, match=r"list\.txt, line 2: .*is a local path; a list in a store may name files beside it"
    ):
        open_source("memory://bucket/list.txt")
    store.pipe_file("/bucket/list.txt", b"a.jpg\n")
    assert open_source("memory://bucket/list.txt").read(0) == DATA


def test_a_list_has_a_path_a_line_and_a_class_after_a_tab(folder):
    lines = ["# comment", "images/a/0000.jpg\tcat", "", "images/b/0002.jpg\tdog\tmore", "images/a/0001.jpg\tcat\r"]
    (folder / "x.txt").write_text("\n".join(lines))
    source = open_source(str(folder / "x.txt"))
    assert (source.classes, source.labels.tolist()) == (("cat", "dog"), [0, 1, 0])
    assert [source.read(i) for i in range(3)] == [SAMPLES[i].data for i in (0, 2, 1)]
    assert source.skipped == {"lines without a path": 2}
    (folder / "x.txt").write_bytes(b"\xef\xbb\xbfimages/a/0000.jpg\nimages/a/0001.jpg\n")
    source = open_source(f"list:{folder / 'x.txt'}")
    assert ids(source) == ["images/a/0000.jpg", "images/a/0001.jpg"]
    assert source.labels is None
    (folder / "x.txt").write_bytes(b"images/a/\xff.jpg\n")
    with pytest.raises(DataError, match=r"x\.txt, line 1: 'utf-8' codec"):
        open_source(f"list:{folder / 'x.txt'}")


def test_relative_paths_are_those_of_the_file_and_not_of_what_it_links_to(folder, tmp_path_factory):
    """Snapshots of the hub's cache are folders of links to files whose names say nothing."""
    blob = tmp_path_factory.mktemp("blobs") / "abc"
    blob.write_text("images/a/0000.jpg\n")
    (folder / "x.txt").symlink_to(blob)
    uri = absolute_uri(str(folder / "x.txt"))
    assert uri == str(folder / "x.txt")
    assert open_source(uri).read(0) == DATA
