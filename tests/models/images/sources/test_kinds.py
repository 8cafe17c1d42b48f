"""What a bare path is."""

import pytest

from models.images.sources.kinds import kind_of
from models.images.sources.table import absolute_uri, open_source
from tests.sources import noise_images, write_folder, write_tar


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["0.tar", "1.tar"], "tar"),
        (["0.tar", "README.md", ".hidden"], "tar"),
        (["0.tar", "0.zip"], "folder"),
        (["backup.tar", "a/1.jpg"], "folder"),
        (["backup.tar", "1.jpg"], "folder"),
        (["part-0.parquet", "_SUCCESS"], "parquet"),
        (["data/train-00000-of-00001.parquet", "README.md", ".gitattributes"], "parquet"),
        (["data/1.jpg"], "folder"),
        (["data/x.tar"], "folder"),
        (["1.zip"], "zip"),
        (["list.txt"], "folder"),
        ([], "folder"),
    ],
)
def test_a_folder_is_what_it_holds_if_it_holds_one_kind_alone(tmp_path, names, kind):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert kind_of(str(tmp_path)) == kind


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("s3://bucket/a-{000..009}.tar", "tar"),
        ("x/*.parquet", "parquet"),
        ("https://host/a.zip?version=1", "zip"),
        ("x.ndjson", "jsonl"),
        ("some-images-idx3-ubyte.gz", "idx"),
        ("hf://datasets/me/set", "parquet"),
        ("hf://datasets/me/set:test", "parquet"),
        ("photo.jpg", "folder"),
    ],
)
def test_a_file_or_pattern_is_what_its_name_says(place, kind):
    assert kind_of(place) == kind


def test_a_word_before_the_colon_wins(tmp_path):
    write_tar(tmp_path, noise_images(2))
    write_folder(tmp_path / "sub", noise_images(2))
    assert kind_of(str(tmp_path)) == "folder"
    source = open_source(f"tar:{tmp_path}")
    assert source.item(0).id == "000000.tar/0000.jpg"


def test_a_folder_that_would_be_recognised_as_something_else_keeps_its_word(tmp_path):
    write_tar(tmp_path, noise_images(2))
    assert absolute_uri(f"folder:{tmp_path}") == f"folder:{tmp_path}"
    assert absolute_uri(str(tmp_path)) == str(tmp_path)
    assert absolute_uri(f"tar:{tmp_path}") == f"tar:{tmp_path}"
    assert absolute_uri("s3://bucket/x") == "s3://bucket/x"
