import numpy as np
import pytest
from PIL import Image

from training.config import DataConfig
from training.data.views import random_view


def test_crops_have_the_area_and_aspect_they_are_asked_for():
    config = DataConfig(uri="x", crop_scale=(0.3, 0.9), crop_aspect=(0.75, 4 / 3))
    for u in np.random.default_rng(0).random((500, 5)):
        left, top, right, bottom = random_view((60, 60), config, u)
        assert left >= 0
        assert top >= 0
        assert right <= 60 + 1e-9
        assert bottom <= 60 + 1e-9
        assert 0.25 < (right - left) * (bottom - top) / 3600 <= 0.9 + 1e-9
        assert 0.74 < (right - left) / (bottom - top) < 1.34


@pytest.mark.parametrize("crop_scale", [(0.3, 1.0), (1.0, 1.0)])
def test_a_crop_never_leaves_the_image_however_arithmetic_rounds(crop_scale):
    """Every side from 1 to 4,096, with the draws that reach the right and lower edge, and the largest ones below 1."""
    config, last = DataConfig(uri="x", crop_scale=crop_scale), np.nextafter(1, 0)
    draws = [*np.random.default_rng(0).random((2, 5)), np.full(5, last), np.array([last, 0.5, last, last, 0])]
    for side in range(1, 4097):
        for size in ((side, 640), (427, side), (side, side)):
            for u in draws:
                left, top, right, bottom = random_view(size, config, u)
                assert 0 <= left < right <= size[0], (size, u)
                assert 0 <= top < bottom <= size[1], (size, u)


def test_an_image_of_one_pixel_can_be_cropped():
    view = random_view((1, 1), DataConfig(uri="x"), np.full(5, 0.99))
    assert Image.new("L", (1, 1), 7).resize((8, 8), box=view).getpixel((0, 0)) == 7
