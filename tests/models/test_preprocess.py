import io

import numpy as np
import pytest
from PIL import Image

from models.preprocess import PixelRecipe, to_pixels, upright_rgb, view_of


def test_a_picture_of_the_right_size_keeps_its_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (28, 20, 3), dtype=np.uint8)
    assert np.array_equal(to_pixels(Image.fromarray(pixels), PixelRecipe(size=(28, 20))), pixels)


def test_crop_takes_the_centre_and_squash_the_whole():
    recipe = PixelRecipe(size=(10, 10))
    assert view_of((40, 20), recipe, "crop") == (10, 0, 30, 20)
    assert view_of((40, 20), recipe, "squash") == (0, 0, 40, 20)
    assert view_of((40, 20), PixelRecipe(size=(10, 10), crop=0.5), "crop") == (15, 5, 25, 15)


def test_grey_is_luminance():
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    recipe = PixelRecipe(size=(4, 4), channels=1, mean=(0.5,), std=(0.5,))
    assert (to_pixels(red, recipe) == 76).all()


def test_means_have_one_value_a_channel():
    with pytest.raises(ValueError, match="one value a channel"):
        PixelRecipe(size=(4, 4), channels=1)


def test_exif_orientation_is_applied():
    upright = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8))
    file, exif = io.BytesIO(), Image.Exif()
    exif[274] = 6
    upright.rotate(90, expand=True).save(file, "PNG", exif=exif)

    assert np.array_equal(np.asarray(upright_rgb(Image.open(file))), np.asarray(upright))


def test_transparency_lies_over_white():
    clear = Image.new("RGBA", (2, 2), (200, 0, 0, 0))
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 128))
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.info["transparency"] = 1

    assert upright_rgb(clear).getpixel((0, 0)) == (255, 255, 255)
    assert upright_rgb(half).getpixel((0, 0)) == (127, 127, 127)
    assert upright_rgb(palette).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_not_clipped():
    grey = Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16))
    assert [upright_rgb(grey).getpixel((x, 0))[0] for x in range(3)] == [0, 128, 255]


@pytest.mark.parametrize("target", [(224, 224), (224, 448), (96, 32)])
@pytest.mark.parametrize("size", [(300, 300), (640, 480), (61, 47), (47, 610), (33, 1000)])
def test_a_crop_in_whole_pixels_stays_within_the_picture(target, size):
    recipe = PixelRecipe(size=target, crop=0.9, whole_pixels=True)
    view = view_of(size, recipe)
    assert min(view.left, view.top) >= 0
    assert view.right <= size[0] + 1e-6
    assert view.bottom <= size[1] + 1e-6
    assert to_pixels(Image.new("RGB", size), recipe).shape == (*target, 3)
