import numpy as np
import pytest

from models.errors import DataError
from models.images.preprocess import Preprocessing
from models.images.sources.table import open_source
from training.evaluation import kmeans, linear
from training.evaluation.base import Split, run_probe
from training.evaluation.baselines import BASELINES, baseline_features
from training.evaluation.parts import Parts


def grey(size):
    return Preprocessing(size=size, channels=1, mean=(0.5,), std=(0.2,))


def test_kmeans_features_separate_textures_whose_means_are_equal():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 200)
    stripes = np.indices((16, 16))[:, None] // 2 % 2
    images = (np.where(labels[:, None, None] == 0, stripes[0], stripes[1]) * 100).astype(np.float32)
    images = (images + draw.integers(0, 60, images.shape)).astype(np.uint8)[..., None]
    train, test = kmeans.features(images[:150], images[150:])
    assert train.shape[1] == 8 * kmeans.CENTROIDS
    score = run_probe(linear.PROBE.classifiers[0], Split(train, labels[:150], test, labels[150:]))
    assert score.accuracy == 1.0


def test_whitened_patches_are_uncorrelated():
    draw = np.random.default_rng(0)
    patches = (draw.normal(size=(4000, 5)) @ draw.normal(size=(5, 5)) * 9).astype(np.float32)
    mean, whiten = kmeans.whitening(patches)
    covariance = np.cov((patches - mean) @ whiten, rowvar=False)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.05
    assert 0.5 < np.diag(covariance).min() <= np.diag(covariance).max() < 1.05


@pytest.mark.parametrize(("size", "channels"), [((24, 16), 1), ((64, 32), 3), ((5, 32), 1), ((4, 224), 3)])
def test_every_baseline_takes_every_shape_of_images(size, channels, monkeypatch):
    monkeypatch.setattr(kmeans, "CENTROIDS", 20)
    preprocessing = Preprocessing(size=size, channels=channels, mean=(0.5,) * channels, std=(0.2,) * channels)
    sets = list(baseline_features(Parts(open_source("synthetic:30"), open_source("synthetic:12")), preprocessing))
    assert len(sets) == 2 * len(BASELINES)
    for features in sets:
        train, test = features.make()
        assert (len(train), len(test)) == (30, 12)
        assert train.shape[1] == test.shape[1]
        assert train.dtype == test.dtype == np.float32
        assert np.isfinite(train).all()
        assert np.isfinite(test).all()


def test_each_baseline_is_followed_by_its_whitened_form():
    parts = Parts(open_source("synthetic:30"), open_source("synthetic:12"))
    names = [each.name for each in baseline_features(parts, grey((24, 16)))]
    assert names[0] == "raw pixels, 16x24"
    assert names[1::2] == [f"{name}, whitened" for name in names[::2]]


def test_every_slow_step_of_the_baselines_reports_itself(monkeypatch, stages):
    monkeypatch.setattr(kmeans, "CENTROIDS", 20)
    parts = Parts(open_source("synthetic:30"), open_source("synthetic:12"))
    for features in baseline_features(parts, grey((12, 12)), stages):
        features.make()
    assert stages.done("reading images for the baselines") == (42, 42)
    assert stages.done("principal components of the pixels") == (1, 1)
    assert stages.done("k-means: 20 centroids of 1,470 patches") == (1, 1)
    assert stages.done("k-means features") == (42, 42)
    assert stages.done("whitening k-means over their patches") == (1, 1)


def test_a_broken_image_stops_a_baseline_and_is_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    parts = Parts(open_source("synthetic:30"), open_source(str(tmp_path)))
    with pytest.raises(DataError, match=r"broken\.png cannot be read.*remove this one, or replace it"):
        next(baseline_features(parts, grey((12, 12)))).make()
