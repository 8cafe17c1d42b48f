import io

import numpy as np
import pytest
from PIL import Image

from models.errors import DataError
from models.images.preprocess import Preprocessing, read_pixels, to_pixels
from models.images.sources.base import item_pixels
from models.images.sources.table import open_source

EXACT = Preprocessing(size=(8, 8))
SCALED = EXACT.model_copy(update={"decoding": "scaled"})


def test_an_image_of_a_source_is_decoded_as_the_preprocessing_says(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    noise.save(tmp_path / "0.jpg")
    file = io.BytesIO()
    noise.save(file, "JPEG")
    source, data = open_source(str(tmp_path)), file.getvalue()

    assert np.array_equal(item_pixels(source, 0, EXACT), to_pixels(source.open(0), EXACT))
    assert np.array_equal(item_pixels(source, 0, SCALED), read_pixels(data, SCALED)[0])
    assert not np.array_equal(item_pixels(source, 0, SCALED), item_pixels(source, 0, EXACT))


def test_an_array_is_the_same_in_both():
    source = open_source("synthetic:2")
    assert np.array_equal(item_pixels(source, 1, SCALED), item_pixels(source, 1, EXACT))


@pytest.mark.parametrize("preprocessing", [EXACT, SCALED], ids=["exact", "scaled"])
def test_a_file_that_cannot_be_decoded_is_named(preprocessing, tmp_path):
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match=r"torn\.jpg cannot be read: this JPEG is broken"):
        item_pixels(open_source(str(tmp_path)), 0, preprocessing)
