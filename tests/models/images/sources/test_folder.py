import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.errors import DataError
from models.images.sources.base import ListOptions, Source
from models.images.sources.folder import Folder

NOBODY = 65534


def write_image(path, name="PNG", colour="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), colour).save(path, name)
    return path


def ids(source):
    return [source.item(i).id for i in range(len(source))]


@pytest.fixture
def root(tmp_path):
    """A folder with one image."""
    write_image(tmp_path / "root" / "a.png")
    return tmp_path / "root"


@contextmanager
def without_privileges():
    """As a user whom permissions bind, if the tests run as root."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_root():
    """A folder that any user can list, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in folder.iterdir():
        path.chmod(0o700)
    shutil.rmtree(folder)


def test_images_are_sorted_with_relative_paths_as_ids_and_absolute_ones_as_uris(root, monkeypatch):
    write_image(root / "b" / "2.png")
    write_image(root / "b" / "1.jpg", "JPEG")
    monkeypatch.chdir(root.parent)
    source = Folder("root")
    assert isinstance(source, Source)
    assert ids(source) == ["a.png", "b/1.jpg", "b/2.png"]
    assert [source.item(i).uri for i in range(3)] == [str(root / name) for name in ids(source)]
    assert source.read(0) == (root / "a.png").read_bytes()
    assert source.open(1).size == (4, 3)
    assert source.classes == ("", "b")
    assert np.asarray(source.labels).tolist() == [0, 1, 1]
    assert not source.skipped


def test_a_file_is_an_image_by_its_bytes(root):
    write_image(root / "photo", "JPEG")
    write_image(root / "scan.dat", "TIFF")
    (root / "notes.txt").write_text("not an image")
    (root / "LICENSE").write_text("not an image")
    (root / "empty").touch()
    source = Folder(str(root))
    assert ids(source) == ["a.png", "photo", "scan.dat"]
    assert source.skipped == {".txt": 1, "no suffix": 2}


def test_a_file_that_is_named_like_an_image_is_listed_and_its_error_is_told_when_it_is_opened(root):
    (root / "text.JPG").write_text("not an image")
    (root / "empty.png").touch()
    source = Folder(str(root))
    assert ids(source) == ["a.png", "empty.png", "text.JPG"]
    for index in (1, 2):
        with pytest.raises(DataError, match=f"{ids(source)[index]} cannot be read: these bytes are not an image"):
            source.open(index)


def test_by_suffix_no_file_is_opened(root, monkeypatch):
    write_image(root / "photo", "JPEG")
    (root / "text.jpg").write_text("not an image")

    def fail(*_):
        raise AssertionError("a file was opened")

    monkeypatch.setattr(Path, "open", fail)
    source = Folder(str(root), ListOptions(by_suffix=True))
    assert ids(source) == ["a.png", "text.jpg"]
    assert source.skipped == {"no suffix": 1}


def test_linked_files_and_folders_are_followed(root, tmp_path):
    write_image(tmp_path / "elsewhere" / "deep" / "c.png")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "b.png").symlink_to(root / "a.png")
    source = Folder(str(root))
    assert ids(source) == ["a.png", "b.png", "linked/deep/c.png"]
    assert source.item(2).uri == str(root / "linked" / "deep" / "c.png")
    assert not source.skipped
    linked = tmp_path / "root-link"
    linked.symlink_to(root)
    assert ids(Folder(str(linked))) == ids(source)


def test_links_that_lead_nowhere_or_back_are_counted(root, tmp_path):
    (root / "sub").mkdir()
    (root / "sub" / "up").symlink_to(root)
    (root / "self").symlink_to(root)
    (root / "circle").symlink_to(root / "circle")
    (root / "dangling.png").symlink_to(root / "nothing.png")
    (root / "dangling").symlink_to(tmp_path / "nowhere")
    source = Folder(str(root))
    assert ids(source) == ["a.png"]
    assert source.skipped == {"link loops": 3, "dangling links": 2}


def test_folders_that_link_to_each_other_end(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        write_image(tmp_path / name / f"{name}.png")
        (tmp_path / name / "other").symlink_to(tmp_path / other)
    source = Folder(str(tmp_path))
    assert ids(source) == ["a/a.png", "b/b.png"]
    assert source.skipped == {"links to folders listed already": 2}


def test_a_folder_is_listed_once_by_its_real_path_before_a_link(tmp_path):
    write_image(tmp_path / "root" / "2024" / "sub" / "a.png")
    write_image(tmp_path / "elsewhere" / "deep" / "b.png")
    (tmp_path / "root" / "0-latest").symlink_to("2024")
    (tmp_path / "root" / "0-sub").symlink_to("2024/sub")
    for name in ("y", "x"):
        (tmp_path / "root" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "z").symlink_to(tmp_path / "elsewhere" / "deep")
    source = Folder(str(tmp_path / "root"))
    assert ids(source) == ["2024/sub/a.png", "x/deep/b.png"]
    assert source.skipped == {"links to folders listed already": 4}


def test_folders_that_all_link_to_each_other_are_listed_once_each(tmp_path):
    for name in "abcdefgh":
        write_image(tmp_path / name / "x.png")
        for other in set("abcdefgh") - {name}:
            (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)
    source = Folder(str(tmp_path))
    assert ids(source) == [f"{name}/x.png" for name in "abcdefgh"]
    assert source.skipped == {"links to folders listed already": 56}


def test_links_to_files_are_images_of_their_own(root, tmp_path):
    write_image(tmp_path / "store" / "1.png")
    for name in ("cats/1.png", "dogs/1.png"):
        (root / name).parent.mkdir()
        (root / name).symlink_to(tmp_path / "store" / "1.png")
    source = Folder(str(root))
    assert ids(source) == ["a.png", "cats/1.png", "dogs/1.png"]
    assert not source.skipped


def test_an_image_of_an_earlier_listing_is_read_by_its_id(root):
    (root / "notes.txt").write_text("listed once")
    os.mkfifo(root / "pipe.png")
    source = Folder(str(root))
    assert source.read_id("notes.txt") == b"listed once"
    assert source.has("notes.txt")
    for gone in ("nothing.png", "pipe.png", "x" * 300):
        assert not source.has(gone)
        with pytest.raises(DataError, match="not in its source any more"):
            source.read_id(gone)


def test_pipes_and_sockets_are_counted_and_not_waited_for(root):
    os.mkfifo(root / "pipe.png")
    source = Folder(str(root))
    assert ids(source) == ["a.png"]
    assert source.skipped == {"special files": 1}


def test_what_may_not_be_read_is_counted(open_root):
    write_image(open_root / "a.png")
    write_image(open_root / "secret.png").chmod(0)
    write_image(open_root / "locked" / "b.png").parent.chmod(0)
    write_image(open_root / "listed" / "c.png").parent.chmod(0o444)
    with without_privileges():
        source = Folder(str(open_root))
    assert ids(source) == ["a.png"]
    assert source.skipped == {"unreadable files": 2, "unreadable folders": 1}


def test_a_file_that_becomes_unreadable_is_an_error_that_names_it(root):
    source = Folder(str(root))
    (root / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.png cannot be read: No such file"):
        source.read(0)


def test_a_deeply_nested_image_is_found(tmp_path, monkeypatch):
    """Deeper than Python may recurse, so that `shutil.rmtree` could not delete it either."""
    depth, deepest = 1100, tmp_path
    for _ in range(depth):
        deepest /= "d"
        deepest.mkdir()
    try:
        write_image(deepest / "x.png")
        assert ids(Folder(str(tmp_path))) == ["d/" * depth + "x.png"]
    finally:
        (deepest / "x.png").unlink()
        while deepest != tmp_path:
            deepest.rmdir()
            deepest = deepest.parent


def test_a_folder_without_images_is_an_error_that_says_what_it_holds(tmp_path):
    with pytest.raises(DataError, match=r"no images in .*; it holds nothing"):
        Folder(str(tmp_path))
    (tmp_path / "notes.txt").touch()
    (tmp_path / "gone").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"it holds 1 \.txt, 1 dangling links"):
        Folder(str(tmp_path))


def test_one_file_is_a_source_too(root):
    source = Folder(str(root / "a.png"))
    assert (ids(source), source.labels) == (["a.png"], None)
    os.mkfifo(root / "pipe")
    with pytest.raises(DataError, match="it holds 1 special files"):
        Folder(str(root / "pipe"))


def test_the_digest_changes_with_the_bytes_and_the_fingerprint_with_the_names(root):
    before = Folder(str(root))
    digest = before.digest()
    write_image(root / "a.png", colour="blue")
    recoloured = Folder(str(root))
    assert recoloured.fingerprint == before.fingerprint
    assert recoloured.digest() != digest
    (root / "a.png").rename(root / "b.png")
    assert Folder(str(root)).fingerprint != before.fingerprint


def test_listing_reports_every_file(root):
    from contextlib import nullcontext
    from types import SimpleNamespace

    seen = []

    def progress(total, description, unit, initial=0):
        return nullcontext(SimpleNamespace(update=lambda n=1: seen.append((description, unit, n)), note=print))

    (root / "notes.txt").touch()
    Folder(str(root), progress=progress)
    assert seen == [(f"listing {root}", "files", 1)] * 2


def test_photographs_are_listed_and_opened(photos):
    source = Folder(str(photos))
    assert len(source) == 100
    assert not source.skipped
    assert {source.open(i).mode for i in range(0, 100, 10)} == {"RGB"}
