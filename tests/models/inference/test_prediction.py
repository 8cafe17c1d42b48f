"""Regions in batches, and how energies compare with what the calibration found usual."""

import numpy as np
import pytest

from models.bundle.manifest import Calibration, Distance
from models.bundle.reader import read_bundle
from models.inference.energy import draw_blocks, energy_maps
from models.inference.prediction import Regions, TargetSpace, predict_regions
from models.runtimes.onnxruntime import CPURuntime


class Counting(CPURuntime):
    """Keeps the pixels and ids of every call."""

    def __init__(self, bundle):
        super().__init__(bundle, threads=1)
        self.encoded, self.contexts, self.predicted = [], [], []

    def encode(self, pixels, outputs):
        self.encoded.append(len(pixels))
        return super().encode(pixels, outputs)

    def encode_context(self, pixels, context_ids):
        self.contexts.append(context_ids)
        return super().encode_context(pixels, context_ids)

    def predict(self, context_tokens, context_ids, target_ids):
        self.predicted.append((context_ids, target_ids))
        return super().predict(context_tokens, context_ids, target_ids)


@pytest.fixture
def networks(golden):
    return Counting(read_bundle(golden))


@pytest.fixture(scope="module")
def space(golden):
    return TargetSpace.of(read_bundle(golden).manifest)


def images(count):
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)


def random_regions(count):
    """Contexts of 1 to 10 patches, and one to three targets of 1 to 6."""
    random = np.random.default_rng(1)
    made = []
    for _ in range(count):
        patches, kept = random.permutation(16), int(random.integers(1, 11))
        sizes = random.integers(1, 7, random.integers(1, 4))
        made.append(Regions(np.sort(patches[:kept]), [np.sort(patches[kept : kept + size]) for size in sizes]))
    return made


@pytest.mark.parametrize("max_rows", [1, 3, 32])
def test_regions_of_many_images_are_predicted_as_each_alone(networks, space, max_rows):
    pixels, regions = images(12), random_regions(12)
    together = predict_regions(networks, space, pixels, regions, max_rows)
    for i, predictions in enumerate(together):
        (alone,) = predict_regions(networks, space, pixels[i : i + 1], regions[i : i + 1])
        for one, other, patches in zip(predictions, alone, regions[i].targets, strict=True):
            np.testing.assert_array_equal(one.patches, patches)
            for name in ("predicted", "actual", "energy_per_patch"):
                np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-5, atol=1e-5)


def test_each_image_and_each_context_is_encoded_once_with_little_padding(networks, space):
    regions = random_regions(12)
    predict_regions(networks, space, images(12), regions, max_rows=8)
    assert networks.encoded == [12]
    assert sum(map(len, networks.contexts)) == 12
    assert sum(len(target_ids) for _, target_ids in networks.predicted) == sum(len(each.targets) for each in regions)
    for ids in [*networks.contexts, *(np.concatenate(pair, axis=1) for pair in networks.predicted)]:
        assert len(ids) <= 8
    ids = np.concatenate([table.reshape(-1) for table in networks.contexts])
    assert np.mean(ids < 0) <= 0.1


def test_draws_of_an_image_share_batches_and_it_is_encoded_once(networks, golden):
    manifest = read_bundle(golden).manifest
    draws = draw_blocks(manifest.masking, manifest.grid, 8, 0)
    done = []
    together = energy_maps(networks, manifest, images(2), draws, 16, done.append)
    assert networks.encoded == [2]
    assert sum(map(len, networks.contexts)) == sum(done) == 16
    assert len(networks.contexts) < 16
    assert len(networks.predicted) < 16
    one_by_one = energy_maps(networks, manifest, images(2), draws, max_rows=1)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-5)


def test_z_is_by_the_mean_and_deviation_of_each_patch():
    usual = Calibration(mean=[[1.0, 2.0], [3.0, 4.0]], std=[[0.5, 1.0], [2.0, 0.0]], masks=8, images=2, measured_on="x")
    space = TargetSpace(Distance(name="l2"), calibration=usual)
    np.testing.assert_allclose(space.z(np.array([5.0, 3.0]), np.array([2, 1])), [1.0, 1.0])
    z = space.z(np.array([4.0]), np.array([3]))
    assert z is not None
    assert z.tolist() == [0.0]


def test_without_a_calibration_there_is_no_z():
    assert TargetSpace(Distance(name="l2")).z(np.array([1.0]), np.array([0])) is None
