import warnings

import numpy as np

from models.bundle.reader import read_bundle
from models.images.sources.table import open_source
from training.evaluation import kmeans, knn, linear
from training.evaluation import measure as module
from training.evaluation.base import Classifier, run_probe
from training.evaluation.cache import Cache
from training.evaluation.networks import of_bundle, untrained
from training.evaluation.parts import Parts


def constant(train, labels, test, choices):
    return [np.zeros(len(test), dtype=np.int64)] * len(choices)


def test_scores_are_computed_once_and_follow_the_images(tmp_path, monkeypatch, golden, one_thread):
    """The second call computes nothing; other images, or another network, are computed."""
    monkeypatch.setattr(kmeans, "CENTROIDS", 20)
    network, cache = of_bundle(read_bundle(golden)), Cache(tmp_path / "cache")
    parts = Parts(open_source("synthetic:60"), open_source("synthetic:30"))
    classifiers = knn.PROBE.classifiers
    runs = []
    monkeypatch.setattr(module, "run_probe", lambda *args: (runs.append(1), run_probe(*args))[1])

    first = list(module.measure(network, classifiers, parts, cache, {}))
    computed = len(runs)
    again = list(module.measure(network, classifiers, parts, cache, {}))
    assert again == first
    assert len(runs) == computed
    assert {row.features for row in first} >= {
        "chance",
        "k-means over their patches",
        "untrained, mean",
        "trained, mean",
    }

    list(module.measure(network, classifiers, Parts(parts.train, open_source("synthetic:31")), cache, {}))
    assert len(runs) == 2 * computed
    list(module.measure(untrained(network, seed=1), classifiers, parts, cache, {}))
    assert len(runs) > 2 * computed


def test_without_baselines_the_network_and_its_untrained_self_are_measured(golden):
    parts = Parts(open_source("synthetic:60"), open_source("synthetic:30"))
    network = of_bundle(read_bundle(golden))
    rows = list(
        module.measure(
            network, [Classifier("constant", constant)], parts, Cache(None), {"int8": network}, baselines=False
        )
    )
    kinds = ("untrained", "trained", "trained in int8")
    assert [row.features for row in rows] == [
        "chance",
        *(f"{kind}, {name}" for kind in kinds for name in ("mean", "mean-whitened", "last4", "last4-whitened")),
    ]


def test_every_score_is_announced_before_it_is_computed(golden, stages):
    parts = Parts(open_source("synthetic:60"), open_source("synthetic:30"))
    network = of_bundle(read_bundle(golden))
    classifier = Classifier("constant", constant, "x", (1, 2))
    rows = list(module.measure(network, [classifier], parts, Cache(None), {}, baselines=False, progress=stages))
    (whole,) = (stage for stage in stages.seen if stage.description == "probing")
    assert whole.notes == [f"{row.features}: constant" for row in rows[1:]]
    assert (whole.count, whole.total) == (8, 8)
    assert stages.done("constant on untrained, mean") == (3, 3)
    assert stages.done("reading files to find earlier results") == (2, 2)


def test_what_solvers_warn_of_is_one_sentence_with_features_and_c(tmp_path, golden, monkeypatch, caplog):
    """Computed or kept; no warning is printed as it is."""
    monkeypatch.setattr(linear, "MAX_ITERATIONS", 1)
    parts = Parts(open_source("synthetic:60"), open_source("synthetic:30"))
    network = of_bundle(read_bundle(golden))
    classifier = linear.PROBE.classifiers[0]._replace(choices=(10.0,))
    for _ in range(2):
        caplog.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            list(module.measure(network, [classifier], parts, Cache(tmp_path), {}, baselines=False))
        (record,) = caplog.records
        assert record.getMessage().startswith(
            "logistic regression with C=10 did not converge in 1 iterations on: untrained, mean, untrained, mean-whitened"
        )
