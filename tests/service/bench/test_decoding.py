import io

from PIL import Image

from models.config import model_of_size
from models.images.preprocess import Preprocessing
from service.bench.decoding import make_samples, measure_decoding


def model(side, channels=3):
    pixels = Preprocessing(size=(side, side), channels=channels, mean=(0.5,) * channels, std=(0.5,) * channels)
    return model_of_size("pico", patch_size=side // 4, pixels=pixels)


def size_of(sample):
    return {Image.open(io.BytesIO(file)).size for file in sample.files}


def test_a_network_of_large_images_is_sent_photographs():
    first, large = make_samples(model(224))
    assert (first.name, first.content_type, size_of(first)) == ("500 x 375 JPEG", "image/jpeg", {(500, 375)})
    assert size_of(large) == {(4000, 3000)}


def test_a_network_of_small_images_is_sent_images_of_its_size():
    first = make_samples(model(28, channels=1))[0]
    assert (first.name, first.content_type, size_of(first)) == ("28 x 28 PNG", "image/png", {(28, 28)})
    assert Image.open(io.BytesIO(first.files[0])).mode == "L"


def test_every_file_is_decoded_at_least_once(monkeypatch):
    seen = []
    monkeypatch.setattr("service.bench.decoding.read_pixels", lambda data, preprocessing, limits: seen.append(data))
    samples = make_samples(model(28))
    decodings = measure_decoding(samples, model(28).pixels, 0)
    assert set(seen) == {file for sample in samples for file in sample.files}
    assert [decoding.image for decoding in decodings] == [sample.name for sample in samples]
    assert all(decoding.ms >= 0 for decoding in decodings)
