"""Whitened poolings: decorrelated, bounded, and the same in a graph as in numpy."""

import numpy as np
import pytest

from models.errors import ConfigError
from models.export.whitening import SHRINKAGE, fit_whitening, sample_indices
from tests.golden.make import tiny_model, write_tiny_checkpoint
from tests.models.export.images import images


def correlated(n, width=12, seed=0):
    draw = np.random.default_rng(seed)
    mix = np.random.default_rng(1).normal(size=(width, width)) * np.geomspace(1, 0.1, width)
    return (draw.normal(size=(n, width)) @ mix + 3).astype(np.float32)


def test_whitened_features_are_uncorrelated_and_equally_large_but_for_the_shrinkage():
    features = correlated(5000)
    whitening = fit_whitening(features)
    white = whitening(features)
    covariance = np.cov(features, rowvar=False, bias=True)
    size = np.trace(covariance) / len(covariance)
    kept, turn = np.linalg.eigh(covariance)
    expected = kept / ((1 - SHRINKAGE) * kept + SHRINKAGE * size)

    assert np.abs(white.mean(axis=0)).max() < 1e-3
    assert np.allclose(np.cov(white, rowvar=False, bias=True), (turn * expected) @ turn.T, atol=1e-3)
    assert np.allclose(whitening.matrix, whitening.matrix.T)


def test_a_direction_without_variance_is_not_blown_up():
    features = correlated(5000)
    features[:, 3] = features[:, 4]
    size = np.var(features, axis=0).mean()
    assert np.linalg.norm(fit_whitening(features).matrix, 2) <= 1.01 / np.sqrt(SHRINKAGE * size)


def test_fewer_images_than_dimensions_are_enough():
    white = fit_whitening(correlated(8))(correlated(100, seed=3))
    assert np.isfinite(white).all()


@pytest.mark.parametrize("value", [0, 1, 3.3])
def test_features_that_are_all_the_same_are_only_centred(value):
    whiten = fit_whitening(np.full((200, 4), value, dtype=np.float32))
    np.testing.assert_allclose(whiten(np.full((1, 4), value + 1, dtype=np.float32)), 1, atol=1e-5)


def test_the_same_images_are_drawn_every_time_each_once():
    assert np.array_equal(sample_indices(1000), sample_indices(1000))
    assert sorted(sample_indices(1000)) == list(range(1000))
    assert len(sample_indices(1000, 10)) == 10


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    from models.bundle.reader import read_bundle
    from models.checkpoint.store import read_checkpoint
    from models.export.pipeline import export_bundle

    root = tmp_path_factory.mktemp("whitened")
    checkpoint = read_checkpoint(write_tiny_checkpoint(root / "step"))
    export_bundle(checkpoint, root / "bundle", bundle_id="white", whiten=images(300))
    return read_bundle(root / "bundle")


def test_a_bundle_lists_its_whitened_poolings_and_what_they_were_fitted_on(bundle):
    assert bundle.manifest.poolings == {"mean": 32, "last4": 128, "mean-whitened": 32, "last4-whitened": 128}
    assert bundle.manifest.whitening.images == 300
    assert bundle.manifest.whitening.measured_on == "made-up images"
    assert "`last4-whitened` (128 dimensions)" in bundle.path("MODEL_CARD.md").read_text()


def test_the_graph_whitens_as_numpy_does(bundle):
    from models.runtimes.onnxruntime import Session

    session = Session(bundle.path("encoder.onnx"))
    names = ["mean", "last4", "mean-whitened", "last4-whitened"]
    fitted = dict(zip(names, session.run(names, pixels=images(300).pixels), strict=True))
    others = dict(zip(names, session.run(names, pixels=images(320).pixels[300:]), strict=True))
    for name in ("mean", "last4"):
        expected = fit_whitening(fitted[name])(others[name])
        np.testing.assert_allclose(others[f"{name}-whitened"], expected, atol=1e-3 * np.abs(expected).max())
        assert np.abs(fitted[f"{name}-whitened"].mean(axis=0)).max() < 1e-3


def test_too_few_images_to_whiten_with_are_an_error(tmp_path):
    from models.export.pipeline import fit_whitenings

    with pytest.raises(ConfigError, match="at least 100 images, better thousands; there are 99"):
        fit_whitenings(tiny_model().eval(), images(99).pixels)
