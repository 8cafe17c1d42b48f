"""What counts as an image, and what is said of what does not."""

import io
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ijepa.images import decode_input, encode_image, iterate, memory_size, name_image
from models.errors import DataError, ImageError, NotAnImageError
from tests.ijepa.conftest import as_png


def test_all_kinds_of_one_image_give_the_same_vector(model, image, png, tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(png)
    alpha = np.dstack([image, np.full(image.shape[:2], 255, dtype=np.uint8)])
    kinds = [
        str(path), path, png, bytearray(png), memoryview(png), Image.open(io.BytesIO(png)), Image.fromarray(image),
        image, alpha, image[None],
    ]  # fmt: skip
    expected = model.embed([image])
    assert expected.shape == (1, 32)
    for kind in kinds:
        np.testing.assert_array_equal(model.embed(kind), expected)
        np.testing.assert_array_equal(model.embed([kind]), expected)
    np.testing.assert_allclose(model.embed(kinds), np.repeat(expected, len(kinds), axis=0), rtol=1e-5, atol=1e-5)


def test_grey_arrays_are_grey_images(model, image):
    grey = image[..., 0]
    expected = model.embed(np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(model.embed(grey), expected)
    np.testing.assert_array_equal(model.embed(grey[..., None]), expected)


def test_a_transparent_array_lies_over_white(model, image):
    clear = np.dstack([image, np.zeros(image.shape[:2], dtype=np.uint8)])
    np.testing.assert_array_equal(model.embed(clear), model.embed(np.full_like(image, 255)))


def test_a_pil_image_is_turned_as_its_file_would_be(model, image):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", exif=exif, quality=95)
    opened = Image.open(io.BytesIO(file.getvalue()))
    np.testing.assert_array_equal(model.embed(opened), model.embed(file.getvalue()))


def test_batches_lists_tuples_and_object_arrays_are_many_images(model, image, tmp_path):
    batch = np.stack([image, image[::-1], image[:, ::-1]])
    expected = np.concatenate([model.embed(each) for each in batch])
    paths = np.empty(3, dtype=object)
    for i, each in enumerate(batch):
        paths[i] = tmp_path / f"{i}.png"
        paths[i].write_bytes(as_png(each))
    for several in (batch, list(batch), tuple(batch), (each for each in batch), [batch[:2], batch[2]], paths):
        np.testing.assert_allclose(model.embed(several), expected, rtol=1e-5, atol=1e-5)


def test_an_iterator_may_reuse_its_array_and_close_its_image(model, image, tmp_path):
    def reused():
        buffer = np.empty_like(image)
        for value in range(40):
            buffer[:] = value
            yield buffer

    def closed():
        for value in range(40):
            path = tmp_path / f"{value}.png"
            path.write_bytes(as_png(np.full_like(image, value)))
            with Image.open(path) as opened:
                yield opened

    expected = model.embed([np.full_like(image, value) for value in range(40)])
    np.testing.assert_array_equal(model.embed(reused()), expected)
    np.testing.assert_array_equal(model.embed(closed()), expected)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"a": 1}, NotAnImageError, "the image is of type dict, expected a path"),
        (7, NotAnImageError, "the image is of type int"),
        ([b"", None], NotAnImageError, r"images\[1\] is of type NoneType"),
        (io.BytesIO(b"x"), NotAnImageError, r"BytesIO, expected .*file.read\(\)"),
        ([b"no image"], NotAnImageError, r"images\[0\]: these bytes are not an image"),
        ([b"\xff\xd8\xff"], ImageError, r"images\[0\]: "),
        ("missing.jpg", DataError, r"missing\.jpg cannot be read: No such file"),
        ("http://localhost/a.jpg", DataError, "a web address"),
        (Path(__file__).parent, DataError, "is a folder"),
        ([], DataError, "there are no images"),
        (np.zeros((3, 8, 9), np.uint8), ImageError, r"shape \[3, 8, 9\].*transpose"),
        (np.zeros((8, 9, 2), np.uint8), ImageError, r"shape \[8, 9, 2\]"),
        (np.zeros((0, 9, 3), np.uint8), ImageError, r"shape \[0, 9, 3\]"),
        (np.zeros((2, 8, 9, 3), np.float32), ImageError, r"images\[0\]: the array has dtype float32, expected uint8"),
        (np.zeros((8, 9), bool), ImageError, "dtype bool"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_not_an_image_is_named(model, given, kind, message):
    with pytest.raises(kind, match=message):
        model.embed(given)


def test_a_bad_image_in_the_middle_is_named_and_ends_the_call(model, png, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(png[: len(png) // 2])
    with pytest.raises(ImageError, match=r"broken\.png: this PNG cannot be decoded"):
        model.embed([png] * 50 + [broken] + [png] * 50)
    with pytest.raises(ImageError, match=r"images\[50\]: "):
        model.embed([png] * 50 + [png[:60]] + [png] * 50)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ijepa-read")]


def test_what_an_image_holds_before_it_is_read(tmp_path, png, image):
    assert memory_size(name_image(tmp_path / "image.png")) == 0
    assert memory_size(name_image(png)) == len(png)
    assert memory_size(name_image(image)) == image.size


def test_names_of_images_inside_batches():
    batch = np.zeros((2, 4, 4, 3), np.uint8)
    assert [image.name for image in iterate([batch, "a.png", batch[0]])] == [
        "images[0][0]", "images[0][1]", "a.png", "images[2]",
    ]  # fmt: skip


def test_arrays_are_sent_without_loss(image):
    """The second is too long for WebP."""
    long = np.arange(60_000).astype(np.uint8).reshape(1, 20_000, 3)
    for pixels, name in ((image, "WEBP"), (long, "PNG")):
        sent = Image.open(io.BytesIO(encode_image(name_image(pixels))))
        assert sent.format == name
        np.testing.assert_array_equal(np.asarray(sent), pixels)


def test_a_photograph_as_an_array_is_smaller_than_as_png(photos):
    pixels = np.asarray(Image.open(min(photos.glob("*.JPEG"))).convert("RGB"))
    assert len(encode_image(name_image(pixels))) < 0.9 * len(as_png(pixels))


def test_a_file_is_decoded_as_the_preprocessing_says_and_its_size_is_the_full_one():
    from models.images.preprocess import Preprocessing, read_pixels

    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)).save(file, "JPEG")
    for decoding in ("exact", "scaled"):
        preprocessing = Preprocessing(size=(8, 8), decoding=decoding)
        pixels, size = decode_input(name_image(file.getvalue()), preprocessing, None)
        assert size == (90, 80)
        np.testing.assert_array_equal(pixels, read_pixels(file.getvalue(), preprocessing)[0])


def test_a_pil_image_is_copied():
    image = Image.new("RGB", (4, 4), "red")
    named = name_image(image)
    image.paste("blue", (0, 0, 4, 4))
    assert named.image.getpixel((0, 0)) == (255, 0, 0)
