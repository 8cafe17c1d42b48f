import math

import numpy as np
import pytest
from PIL import Image

from models.images.preprocess import Fit, Preprocessing, View, read_pixels, to_pixels, view_of


def test_an_image_of_the_right_size_keeps_its_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (28, 20, 3), dtype=np.uint8)
    assert np.array_equal(to_pixels(Image.fromarray(pixels), Preprocessing(size=(28, 20))), pixels)


def test_crop_takes_the_centre_and_squash_the_whole():
    preprocessing = Preprocessing(size=(10, 10))
    assert view_of((40, 20), preprocessing, "crop") == (10, 0, 30, 20)
    assert view_of((40, 20), preprocessing, "squash") == (0, 0, 40, 20)
    assert view_of((40, 20), Preprocessing(size=(10, 10), crop=0.5), "crop") == (15, 5, 25, 15)


def test_grey_is_luminance():
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    preprocessing = Preprocessing(size=(4, 4), channels=1, mean=(0.5,), std=(0.5,))
    assert (to_pixels(red, preprocessing) == 76).all()


def test_means_have_one_value_a_channel():
    with pytest.raises(ValueError, match="one value a channel"):
        Preprocessing(size=(4, 4), channels=1)


@pytest.mark.parametrize("target", [(224, 224), (224, 448), (96, 32)])
@pytest.mark.parametrize("size", [(300, 300), (640, 480), (61, 47), (47, 610), (33, 1000)])
def test_a_crop_in_whole_pixels_stays_within_the_image(target, size):
    preprocessing = Preprocessing(size=target, crop=0.9, whole_pixels=True)
    view = view_of(size, preprocessing)
    assert min(view.left, view.top) >= 0
    assert view.right <= size[0] + 1e-6
    assert view.bottom <= size[1] + 1e-6
    assert to_pixels(Image.new("RGB", size), preprocessing).shape == (*target, 3)


SIDES = range(1, 4097)
TARGETS = (28, 64, 96, 224, 448)
ONCE_FATAL = (29, 58, 116, 123, 225, 232, 239, 246, 333)
"""Some of the short sides at which rounding once put the view outside the image."""


def unclipped_view_of(size, preprocessing):
    """The centre crop without the last step, which keeps it inside the image."""
    (width, height), (target_height, target_width) = size, preprocessing.size
    if preprocessing.whole_pixels:
        rows, columns = (math.floor(side / preprocessing.crop) for side in preprocessing.size)
        scale = max(rows / height, columns / width)
        resized_width, resized_height = max(target_width, int(width * scale)), max(target_height, int(height * scale))
        left, top = round((resized_width - target_width) / 2), round((resized_height - target_height) / 2)
        across, down = width / resized_width, height / resized_height
        return View(left * across, top * down, (left + target_width) * across, (top + target_height) * down)
    scale = min(width / target_width, height / target_height) * preprocessing.crop
    seen_width, seen_height = target_width * scale, target_height * scale
    left, top = (width - seen_width) / 2, (height - seen_height) / 2
    return View(left, top, left + seen_width, top + seen_height)


def is_inside(view, size):
    return 0 <= view.left < view.right <= size[0] and 0 <= view.top < view.bottom <= size[1]


@pytest.mark.parametrize("settings", [{}, {"crop": 0.875}, {"crop": 0.875, "whole_pixels": True}], ids=str)
@pytest.mark.parametrize("target", TARGETS)
def test_every_view_lies_inside_its_image_and_is_not_moved_where_it_did(target, settings):
    preprocessing = Preprocessing(size=(target, target), **settings)
    moved = 0
    for side in SIDES:
        for size in ((side, side), (side, 4096), (4096, side)):
            view, before = view_of(size, preprocessing), unclipped_view_of(size, preprocessing)
            assert is_inside(view, size), (size, view)
            if is_inside(before, size):
                assert view == before, size
            else:
                moved += 1
                assert np.abs(np.subtract(view, before)).max() < 1e-9, size
    if target == 224 and not settings:
        assert moved >= 146


@pytest.mark.parametrize("target", TARGETS)
def test_a_squashed_image_is_seen_whole(target):
    for whole_pixels in (False, True):
        preprocessing = Preprocessing(size=(target, target), whole_pixels=whole_pixels)
        for side in SIDES:
            assert view_of((side, 4096), preprocessing, "squash") == (0, 0, side, 4096)
            assert view_of((4096, side), preprocessing, "squash") == (0, 0, 4096, side)


@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("whole_pixels", [False, True])
@pytest.mark.parametrize("target", TARGETS)
def test_pillow_resizes_every_view(target, whole_pixels, fit):
    preprocessing = Preprocessing(size=(target, target), whole_pixels=whole_pixels)
    for side in (*ONCE_FATAL, 1, 2, target - 1, target, target + 1, 457, 1023):
        for size in ((side, side + 7), (side + 7, side)):
            assert to_pixels(Image.new("RGB", size), preprocessing, fit).shape == (target, target, 3), size


@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("size", [(1, 1), (1, 4096), (4096, 1), (2, 65_535), (65_535, 2)])
@pytest.mark.parametrize("whole_pixels", [False, True])
def test_very_elongated_images_are_accepted(size, whole_pixels, fit):
    for target in (28, 224):
        preprocessing = Preprocessing(size=(target, target), crop=0.875, whole_pixels=whole_pixels)
        assert to_pixels(Image.new("RGB", size, "red"), preprocessing, fit).shape == (target, target, 3)


def test_pixels_are_those_of_the_unclipped_view_wherever_that_works():
    draw = np.random.default_rng(0)
    preprocessing = Preprocessing(size=(28, 28))
    for side in (17, 28, 30, 57, 100, 301):
        size = (side + 5, side)
        before = unclipped_view_of(size, preprocessing)
        assert is_inside(before, size)
        image = Image.fromarray(draw.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
        expected = np.asarray(image.resize((28, 28), Image.Resampling.BILINEAR, box=before))
        assert np.array_equal(to_pixels(image, preprocessing), expected)


def test_photographs_are_read_at_every_size(photos):
    paths = sorted(photos.iterdir())
    for number, path in enumerate(paths):
        target = TARGETS[number % len(TARGETS)]
        fit: Fit = "squash" if number % 2 else "crop"
        pixels, size = read_pixels(path.read_bytes(), Preprocessing(size=(target, target)), fit)
        assert pixels.shape == (target, target, 3)
        assert min(size) >= 1
    assert len(paths) == 100
