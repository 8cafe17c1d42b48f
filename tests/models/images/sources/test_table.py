from pathlib import Path

import pytest

from models.errors import DataError
from models.images.sources import table
from models.images.sources.base import BY_BYTES, Source
from models.images.sources.idx import Arrays
from models.images.sources.table import SOURCES, SourceMember, absolute_uri, open_source, source_uris

EXAMPLES = Path(__file__).parents[4] / "docs" / "examples"


@pytest.mark.parametrize("uri", [str(EXAMPLES), f"folder:{EXAMPLES}", str(EXAMPLES / "boot.png")])
def test_a_folder_or_file_needs_no_scheme(uri):
    assert isinstance(open_source(uri), Source)


@pytest.mark.parametrize("uri", ["nowhere", "imagenet:train", "", ":"])
def test_what_is_no_source_is_an_error_that_lists_them(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match=r"there is no file or folder .*folder:DIR, tar:FILE.*, fashion-mnist:train\|test"
    ):
        open_source(uri or "nowhere")


def test_a_missing_folder_behind_a_scheme_is_an_error(tmp_path):
    with pytest.raises(DataError, match="there is no file or folder"):
        open_source(f"folder:{tmp_path / 'nowhere'}")


def test_a_uri_can_be_made_to_mean_the_same_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "images")
    assert absolute_uri("images") == absolute_uri("folder:images") == absolute_uri("link") == f"{tmp_path}/images"
    assert absolute_uri("idx:images") == f"idx:{tmp_path}/images"
    (tmp_path / "test").touch()
    assert absolute_uri("fashion-mnist:test") == "fashion-mnist:test"
    assert absolute_uri("synthetic:10") == "synthetic:10"


def test_a_new_source_is_one_line_of_the_table(monkeypatch):
    import numpy as np

    def checkers(argument, options, progress):
        pixels = np.indices((int(argument), 4, 4)).sum(axis=0).astype(np.uint8) % 2 * 255
        return Arrays(pixels, None, (), "checkers", f"checkers:{argument}")

    monkeypatch.setitem(SOURCES, "checkers", SourceMember(checkers, "COUNT"))
    source = open_source("checkers:3", BY_BYTES)
    assert (len(source), source.item(2).uri) == (3, "checkers:3#00000002")
    assert "checkers:COUNT" in source_uris()
    assert absolute_uri("checkers:3") == "checkers:3"
    with pytest.raises(DataError, match="checkers:COUNT"):
        table.open_source("nowhere")
