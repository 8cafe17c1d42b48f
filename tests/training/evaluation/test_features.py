import numpy as np

from models.bundle.reader import read_bundle
from models.export.whitening import fit_whitening, sample_indices
from models.images.sources.table import open_source
from training.evaluation.cache import Cache
from training.evaluation.features import of_network
from training.evaluation.networks import of_bundle
from training.evaluation.parts import Parts


def test_every_pooling_is_measured_whitened_too_once(tmp_path, golden, one_thread):
    """By the bundle's own whitening where it has one, else by the train part's."""
    from models.checkpoint.store import read_checkpoint
    from models.export.pipeline import export_bundle
    from models.export.quantize import CalibrationImages
    from tests.golden.make import write_tiny_checkpoint

    parts = Parts(open_source("synthetic:120"), open_source("synthetic:30"))
    sets = {each.name: each for each in of_network("x", of_bundle(read_bundle(golden)), parts, Cache(None))}
    assert list(sets) == ["x, mean", "x, mean-whitened", "x, last4", "x, last4-whitened"]
    train, test = sets["x, mean"].make()
    whiten = fit_whitening(train[sample_indices(len(train))])
    for given, expected in zip(sets["x, mean-whitened"].make(), (whiten(train), whiten(test)), strict=True):
        np.testing.assert_array_equal(given, expected)

    checkpoint = read_checkpoint(write_tiny_checkpoint(tmp_path / "step"))
    noise = np.random.default_rng(0).integers(0, 256, (300, 16, 16, 3), dtype=np.uint8)
    export_bundle(checkpoint, tmp_path / "own", bundle_id="own", whiten=CalibrationImages(noise, "noise"))
    own = of_bundle(read_bundle(tmp_path / "own"))
    features = {each.name: each for each in of_network("x", own, parts, Cache(None))}
    assert list(features) == ["x, mean", "x, last4", "x, mean-whitened", "x, last4-whitened"]
    assert not np.allclose(features["x, mean-whitened"].make()[1], sets["x, mean-whitened"].make()[1], atol=0.1)


def test_the_features_of_each_part_are_computed_once_and_reported(golden, stages):
    parts = Parts(open_source("synthetic:20"), open_source("synthetic:10"))
    for features in of_network("trained", of_bundle(read_bundle(golden)), parts, Cache(None), stages):
        features.make()
    encoded = [stage.description for stage in stages.seen if stage.description.startswith("features")]
    assert encoded == ["features of the trained network, train", "features of the trained network, test"]
    assert stages.done("features of the trained network, train") == (20, 20)
