import numpy as np
import pytest

from models.bundle import Distance
from models.config import model_of_size
from models.errors import ConfigError, DataError
from models.preprocess import PixelRecipe, to_pixels
from training.data import Arrays, open_source
from training.probes.networks import Network
from training.probes.swap import Pairs, swapped_blocks

CONFIG = model_of_size("pico", patch_size=4, pixels=PixelRecipe(size=(24, 16), channels=1, mean=(0.0,), std=(1.0,)))


def tokens_of(pixels):
    """A patch's token is its pixels."""
    b = len(pixels)
    return pixels.reshape(b, 6, 4, 4, 4).transpose(0, 1, 3, 2, 4).reshape(b, 24, 16).astype(np.float32)


def network(predict):
    return Network(
        "fake", "fake", "fake", CONFIG, Distance(name="l2"), lambda pixels: {"tokens": tokens_of(pixels)}, predict
    )


def noise(count):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 24, 16), dtype=np.uint8)
    return Arrays(pixels, None, (), "noise")


def test_a_predictor_that_knows_the_picture_is_always_right():
    """It answers with the layer-normed tokens of the picture it is given the context of."""
    seen = []

    def predict(pixels, context, targets):
        seen.append((context, targets))
        x = np.take_along_axis(tokens_of(pixels), targets.clip(0)[..., None], axis=1)
        x = x - x.mean(axis=-1, keepdims=True)
        return x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + 1e-5)

    summary = swapped_blocks(network(predict), noise(150), 140).summary("this")

    assert summary.pairs == summary.all_pairs == 140
    assert summary.higher == 1.0
    assert summary.own_energy < 1e-6 < 0.5 < summary.foreign_energy
    for context, targets in seen:
        for row, block in zip(context, targets, strict=True):
            kept = [*row[row >= 0], *block[block >= 0]]
            assert sorted(kept) == list(range(24))


def test_a_predictor_that_knows_nothing_is_right_half_of_the_time():
    def predict(pixels, context, targets):
        return np.random.default_rng(len(pixels)).normal(size=(*targets.shape, 16)).astype(np.float32)

    summary = swapped_blocks(network(predict), noise(1000)).summary("this")
    assert 0.44 < summary.higher < 0.56
    assert summary.low < summary.higher < summary.high


def test_pairs_that_look_alike_do_not_count():
    pairs = Pairs(np.array([1.0, 1.0, 1.0]), np.array([2.0, 2.0, 0.5]), np.array([31.0, 30.0, 5.0]))
    summary = pairs.summary("this")
    assert (summary.pairs, summary.higher) == (1, 1.0)
    assert summary.all_higher == pytest.approx(2 / 3)


def test_pictures_that_are_all_alike_are_an_error():
    flat = Arrays(np.zeros((10, 24, 16), dtype=np.uint8), None, (), "black")
    with pytest.raises(DataError, match="all alike"):
        swapped_blocks(network(lambda p, c, t: np.zeros((*t.shape, 16), np.float32)), flat).summary("this")


def test_a_network_without_predictor_says_so():
    with pytest.raises(ConfigError, match="no predictor"):
        swapped_blocks(network(None), noise(4))


def test_blocks_differ_from_their_donors_by_what_the_pixels_say():
    """Two grey levels 100 apart: every block is 100 apart from its donor, or 0 from one of its own kind."""
    pixels = np.repeat(np.array([50, 150], dtype=np.uint8), 20)[:, None, None] * np.ones((1, 24, 16), dtype=np.uint8)
    pairs = swapped_blocks(
        network(lambda p, c, t: np.zeros((*t.shape, 16), np.float32)), Arrays(pixels, None, (), "two")
    )
    assert set(np.round(pairs.apart)) <= {0.0, 100.0}
    assert (pairs.apart > 30).any()


def test_torch_and_onnx_runtime_agree(golden, one_thread):
    from models.bundle import read_bundle
    from models.graphs import round_weights
    from tests.golden.make import tiny_model
    from training.probes.networks import of_bundle, of_model

    bundle = of_bundle(read_bundle(golden))
    model = tiny_model()
    round_weights(model)
    torch = of_model(model, bundle.distance, "x")
    source = open_source("synthetic:40")
    a, b = (swapped_blocks(each, source) for each in (bundle, torch))
    np.testing.assert_allclose(a.own, b.own, rtol=1e-4)
    np.testing.assert_allclose(a.foreign, b.foreign, rtol=1e-4)
    assert to_pixels(source.open(0), bundle.config.pixels).shape == (16, 16, 3)
