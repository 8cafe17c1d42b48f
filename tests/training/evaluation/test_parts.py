import pytest
from PIL import Image

from models.errors import DataError
from models.images.sources.base import ListOptions
from training.evaluation.parts import open_parts, open_test

OPTIONS = ListOptions()


def images(folder, *names):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 10 + number + len(str(folder / name))).save(folder / name)
    return folder


def test_the_same_images_twice_are_an_error():
    with pytest.raises(DataError, match="the same images"):
        open_parts("synthetic:30,synthetic:30", OPTIONS)


@pytest.mark.parametrize(
    ("data", "count"), [("synthetic:30,synthetic:31,synthetic:32", "3 parts"), ("synthetic:30", "1 part")]
)
def test_another_number_of_parts_than_two_is_an_error(data, count):
    with pytest.raises(DataError, match=f"names {count}; a probe needs two: TRAIN,TEST, or a folder with train/"):
        open_parts(data, OPTIONS)


@pytest.mark.parametrize("test", ["test", "val"])
@pytest.mark.parametrize("prefix", ["", "folder:"])
def test_a_folder_with_both_parts_inside_is_enough(tmp_path, test, prefix):
    images(tmp_path, "train/a/1.png", "train/b/2.png", "train/b/3.png", f"{test}/a/4.png", f"{test}/b/5.png")
    parts = open_parts(f"{prefix}{tmp_path}", OPTIONS)
    assert (len(parts.train), len(parts.test)) == (3, 2)
    assert parts.test.classes == ("a", "b")
    assert len(open_test(f"{prefix}{tmp_path}", OPTIONS)) == 2


def test_test_comes_before_val(tmp_path):
    images(tmp_path, "train/a/1.png", "train/b/2.png", "val/a/3.png", "test/a/4.png", "test/b/5.png")
    assert len(open_parts(str(tmp_path), OPTIONS).test) == 2


def test_a_folder_without_both_parts_is_a_test_part_alone(tmp_path):
    images(tmp_path, "a/1.png", "b/2.png")
    assert len(open_test(str(tmp_path), OPTIONS)) == 2
    with pytest.raises(DataError, match="names 1 part;"):
        open_parts(str(tmp_path), OPTIONS)


@pytest.mark.parametrize("prefix", ["", "folder:"])
def test_a_folder_that_does_not_exist_is_named(tmp_path, prefix):
    with pytest.raises(DataError, match=rf"there is no file or folder '{tmp_path}/nope'"):
        open_parts(f"{prefix}{tmp_path}/nope", OPTIONS)


def test_a_folder_with_a_comma_in_its_name_is_one_folder(tmp_path):
    folder = images(tmp_path / "cats, dogs", "train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png")
    assert len(open_parts(str(folder), OPTIONS).train) == 2


def test_different_classes_are_named(tmp_path):
    images(tmp_path, "train/a/1.png", "train/b/2.png", "test/a/3.png", "test/c/4.png")
    with pytest.raises(DataError, match="only in train: b; only in test: c"):
        open_parts(str(tmp_path), OPTIONS)


def test_a_part_without_classes_is_an_error(tmp_path):
    images(tmp_path, "train/1.png", "test/2.png")
    with pytest.raises(DataError, match="has no classes"):
        open_parts(str(tmp_path), OPTIONS)


def test_files_are_told_by_their_suffix_alone_where_that_is_asked_for(tmp_path):
    images(tmp_path, "train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png")
    (tmp_path / "train/a/1.png").rename(tmp_path / "train/a/one")
    images(tmp_path, "train/a/5.png")
    assert len(open_parts(str(tmp_path), ListOptions(by_suffix=True)).train) == 2
    assert len(open_parts(str(tmp_path), OPTIONS).train) == 3
