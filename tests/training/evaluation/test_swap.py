"""The mismatched-block probe."""

import numpy as np
import pytest

from models.bundle.manifest import Distance
from models.config import model_of_size
from models.errors import ConfigError, DataError
from models.images.preprocess import Preprocessing
from models.images.sources.idx import Arrays
from models.images.sources.table import open_source
from models.inference.prediction import TargetSpace
from training.evaluation.networks import Network
from training.evaluation.swap import Pairs, mismatched_blocks

CONFIG = model_of_size("pico", patch_size=4, pixels=Preprocessing(size=(24, 16), channels=1, mean=(0.0,), std=(1.0,)))


def tokens_of(pixels):
    """A patch's token is its pixels."""
    b = len(pixels)
    return pixels.reshape(b, 6, 4, 4, 4).transpose(0, 1, 3, 2, 4).reshape(b, 24, 16).astype(np.float32)


class Graphs:
    """Networks whose predictor is a function of pixels, context ids and target ids. A context token is its row's number."""

    def __init__(self, predict):
        self._predict = predict

    def encode(self, pixels, outputs):
        assert list(outputs) == ["tokens"]
        return {"tokens": tokens_of(pixels)}

    def encode_context(self, pixels, context_ids):
        self._pixels = pixels
        rows = np.arange(len(pixels), dtype=np.float32)
        return np.broadcast_to(rows[:, None, None], (*context_ids.shape, 16))

    def predict(self, context_tokens, context_ids, target_ids):
        pixels = self._pixels[context_tokens[:, 0, 0].astype(int)]
        return self._predict(pixels, context_ids, target_ids)


def network(predict):
    space = TargetSpace(Distance(name="l2"))
    return Network("fake", "fake", "fake", CONFIG, ("mean",), space, Graphs(predict), predict is not None)


def arrays(pixels, name):
    return Arrays(pixels, None, (), name, name)


def noise(count):
    return arrays(np.random.default_rng(0).integers(0, 256, (count, 24, 16), dtype=np.uint8), "noise")


def nothing(pixels, context, targets):
    return np.zeros((*targets.shape, 16), np.float32)


def test_a_predictor_that_knows_the_image_is_always_right():
    """It answers with the layer-normed tokens of the image it is given the context of."""
    seen = []

    def predict(pixels, context, targets):
        seen.append((context, targets))
        x = np.take_along_axis(tokens_of(pixels), targets.clip(0)[..., None], axis=1)
        x = x - x.mean(axis=-1, keepdims=True)
        return x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + 1e-5)

    summary = mismatched_blocks(network(predict), noise(150), 140).summary("this")

    assert summary.pairs == summary.all_pairs == 140
    assert summary.higher == 1.0
    assert summary.own_energy < 1e-6 < 0.5 < summary.mismatched_energy
    for context, targets in seen:
        for row, block in zip(context, targets, strict=True):
            kept = [*row[row >= 0], *block[block >= 0]]
            assert sorted(kept) == list(range(24))


def test_a_predictor_that_knows_nothing_is_right_half_of_the_time():
    def predict(pixels, context, targets):
        return np.random.default_rng(len(pixels)).normal(size=(*targets.shape, 16)).astype(np.float32)

    summary = mismatched_blocks(network(predict), noise(1000)).summary("this")
    assert 0.44 < summary.higher < 0.56
    assert summary.low < summary.higher < summary.high


def test_pairs_that_look_alike_do_not_count():
    pairs = Pairs(np.array([1.0, 1.0, 1.0]), np.array([2.0, 2.0, 0.5]), np.array([31.0, 30.0, 5.0]))
    summary = pairs.summary("this")
    assert (summary.pairs, summary.higher) == (1, 1.0)
    assert summary.all_higher == pytest.approx(2 / 3)


def test_images_that_are_all_alike_are_an_error():
    flat = arrays(np.zeros((10, 24, 16), dtype=np.uint8), "black")
    with pytest.raises(DataError, match="all alike"):
        mismatched_blocks(network(nothing), flat).summary("this")


def test_a_network_without_predictor_says_so():
    with pytest.raises(ConfigError, match="no predictor"):
        mismatched_blocks(network(None), noise(4))


def test_blocks_differ_from_their_donors_by_what_the_pixels_say():
    """Two grey levels 100 apart: every block is 100 apart from its donor, or 0 from one of its own kind."""
    pixels = np.repeat(np.array([50, 150], dtype=np.uint8), 20)[:, None, None] * np.ones((1, 24, 16), dtype=np.uint8)
    pairs = mismatched_blocks(network(nothing), arrays(pixels, "two"))
    assert set(np.round(pairs.apart)) <= {0.0, 100.0}
    assert (pairs.apart > 30).any()


def test_reading_and_comparing_are_both_reported(stages):
    mismatched_blocks(network(nothing), noise(70), description="blocks", progress=stages)
    assert stages.done("reading images for mismatched blocks") == (70, 70)
    assert stages.done("blocks") == (70, 70)


def test_torch_and_onnx_runtime_agree(golden, one_thread):
    from models.bundle.reader import read_bundle
    from models.export.graphs import round_weights
    from tests.golden.make import tiny_model
    from training.evaluation.networks import of_bundle, of_model

    bundle = of_bundle(read_bundle(golden))
    model = tiny_model()
    round_weights(model)
    torch = of_model(model, bundle.space, "x")
    source = open_source("synthetic:40")
    a, b = (mismatched_blocks(each, source) for each in (bundle, torch))
    np.testing.assert_allclose(a.own, b.own, rtol=1e-4)
    np.testing.assert_allclose(a.mismatched, b.mismatched, rtol=1e-4)


def test_energies_are_those_of_the_prediction_route(golden):
    """The same block, predicted by `predict_regions`."""
    from models.bundle.reader import read_bundle
    from models.images.preprocess import to_pixels
    from models.inference.prediction import Regions, predict_regions
    from models.rng import Stream, uniforms
    from training.evaluation import swap
    from training.evaluation.networks import of_bundle

    network, source = of_bundle(read_bundle(golden)), open_source("synthetic:12")
    pairs = mismatched_blocks(network, source)
    (block,) = swap._blocks((4, 4), uniforms(0, Stream.SWAP, np.arange(5, 6), n=4)[:, 1:])
    regions = Regions(np.flatnonzero(~block), [np.flatnonzero(block)])
    pixels = to_pixels(source.open(5), network.config.pixels)[None]
    ((expected,),) = predict_regions(network.graphs, network.space, pixels, [regions])
    assert pairs.own[5] == pytest.approx(expected.energy, abs=1e-6)
