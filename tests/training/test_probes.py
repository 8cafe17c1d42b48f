from functools import partial

import numpy as np
import pytest

from models.errors import DataError
from training.probes import PROBES, Probe, Split, chance, held_out, kmeans, knn, run_probe, wilson

ALL = [probe for probes in PROBES.values() for probe in probes]


def clouds(n, spread, seed):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 3, n)
    return (draw.normal(size=(n, 8)) * spread + np.eye(3, 8)[labels] * 4).astype(np.float32), labels


@pytest.mark.parametrize("probe", ALL, ids=lambda probe: probe.title)
def test_a_probe_reads_what_is_there_and_nothing_that_is_not(probe):
    train, labels = clouds(600, 1.0, 0)
    test, truth = clouds(300, 1.0, 1)
    noise = np.random.default_rng(2).normal(size=(600, 8)).astype(np.float32)

    told = run_probe(probe, Split(train, labels, test, truth))
    guessed = run_probe(probe, Split(noise, labels, noise[:300], truth))

    assert told.accuracy > 0.95
    assert told.low < told.accuracy <= told.high + 1e-9
    assert 0.2 < guessed.accuracy < 0.47


def test_the_choice_is_made_without_the_test_part():
    """Two choices, one right about train and one about test: the first is taken, and scored."""
    train, labels = clouds(600, 1.0, 0)
    test, truth = clouds(77, 1.0, 1)
    calls = []

    def predict(x, y, z, choices):
        calls.append((len(z), tuple(choices)))
        flattering = truth if len(z) == 77 else np.zeros(len(z), dtype=np.int64)
        return [flattering if choice == 1 else knn.predict(x, y, z, (20,))[0] for choice in choices]

    score = run_probe(Probe("two", predict, "x", (1, 2)), Split(train, labels, test, truth))

    assert score.chosen == "x=2"
    assert calls == [(held_out(600).sum(), (1, 2)), (77, (2,))]


def test_all_ks_at_once_are_each_k_alone():
    train, labels = clouds(300, 3.0, 0)
    test, _ = clouds(100, 3.0, 1)
    together = knn.predict(train, labels, test, (1, 7, 50))
    for k, guess in zip((1, 7, 50), together, strict=True):
        np.testing.assert_array_equal(guess, knn.predict(train, labels, test, (k,))[0])
    nearest = (train / np.linalg.norm(train, axis=1, keepdims=True)) @ test.T
    np.testing.assert_array_equal(together[0], labels[nearest.argmax(axis=0)])


def test_more_neighbours_than_pictures_are_all_pictures():
    train, labels = clouds(12, 1.0, 0)
    (guess,) = knn.predict(train, labels, train, (200,))
    assert guess.shape == (12,)


def test_one_class_is_refused():
    train, labels = clouds(60, 1.0, 0)
    with pytest.raises(DataError, match="at least two classes"):
        run_probe(PROBES["linear"][0], Split(train, labels * 0, train, labels * 0))


def test_too_few_pictures_to_choose_on_are_refused():
    train = np.eye(3, dtype=np.float32)
    with pytest.raises(DataError, match="several pictures each"):
        run_probe(PROBES["linear"][0], Split(train, np.array([0, 1, 1]), train, np.array([0, 1, 1])))


def test_chance_is_the_most_frequent_class_of_train():
    assert chance(np.array([0, 1, 1]), np.array([0, 0, 1, 0])).accuracy == 0.25


def test_the_interval_is_wilsons():
    """Against the textbook value for 81 of 263."""
    low, high = wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_kmeans_features_tell_textures_that_means_do_not():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 200)
    stripes = np.indices((16, 16))[:, None] // 2 % 2
    pictures = (np.where(labels[:, None, None] == 0, stripes[0], stripes[1]) * 100).astype(np.float32)
    pictures = (pictures + draw.integers(0, 60, pictures.shape)).astype(np.uint8)[..., None]
    train, test = kmeans.features(pictures[:150], pictures[150:])
    assert train.shape[1] == 8 * kmeans.CENTROIDS
    score = run_probe(PROBES["linear"][0], Split(train, labels[:150], test, labels[150:]))
    assert score.accuracy == 1.0


def test_whitened_patches_are_uncorrelated():
    draw = np.random.default_rng(0)
    patches = (draw.normal(size=(4000, 5)) @ draw.normal(size=(5, 5)) * 9).astype(np.float32)
    mean, whiten = kmeans.whitening(patches)
    covariance = np.cov((patches - mean) @ whiten, rowvar=False)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.05
    assert 0.5 < np.diag(covariance).min() <= np.diag(covariance).max() < 1.05


def test_scores_are_computed_once_and_follow_the_pictures(tmp_path, monkeypatch, golden, one_thread):
    """The second call computes nothing; other pictures, or another network, are computed."""
    from models.bundle import read_bundle
    from training.data import open_source
    from training.probes import measure as module
    from training.probes.cache import Cache
    from training.probes.networks import of_bundle, untrained

    network, cache = of_bundle(read_bundle(golden)), Cache(tmp_path / "cache")
    parts = (open_source("synthetic:60"), open_source("synthetic:30"))
    runs = []
    monkeypatch.setattr(module, "run_probe", lambda *args: (runs.append(1), run_probe(*args))[1])

    first = list(module.measure(network, list(PROBES["knn"]), parts, cache, {}))
    computed = len(runs)
    again = list(module.measure(network, list(PROBES["knn"]), parts, cache, {}))
    assert again == first
    assert len(runs) == computed
    assert {row.features for row in first} >= {
        "chance",
        "k-means over their patches",
        "untrained, mean",
        "trained, mean",
    }

    list(module.measure(network, list(PROBES["knn"]), (parts[0], open_source("synthetic:31")), cache, {}))
    assert len(runs) == 2 * computed
    list(module.measure(untrained(network, seed=1), list(PROBES["knn"]), parts, cache, {}))
    assert len(runs) > 2 * computed


def test_every_kind_of_features_is_measured_whitened_too_once(tmp_path, golden, one_thread):
    """By the bundle's own whitening where it has one, else by the train part's."""
    from models.bundle import read_bundle
    from models.checkpoint import read_checkpoint
    from models.export import export_bundle
    from models.whitening import drawn, fit_whitening
    from tests.golden.make import write_tiny_checkpoint
    from tests.models.test_precisions import pictures
    from training.data import open_source
    from training.probes.cache import Cache
    from training.probes.features import floors, of_network
    from training.probes.networks import of_bundle

    parts = (open_source("synthetic:120"), open_source("synthetic:30"))
    plain = of_bundle(read_bundle(golden))
    sets = {features.name: features for features in of_network("x", plain, parts, Cache(None))}
    assert list(sets) == ["x, mean", "x, mean-whitened", "x, last4", "x, last4-whitened"]
    train, test = sets["x, mean"].make()
    whiten = fit_whitening(train[drawn(len(train))])
    for given, expected in zip(sets["x, mean-whitened"].make(), (whiten(train), whiten(test)), strict=True):
        np.testing.assert_array_equal(given, expected)

    checkpoint = read_checkpoint(write_tiny_checkpoint(tmp_path / "step"))
    export_bundle(checkpoint, tmp_path / "own", bundle_id="own", whiten=pictures(300))
    own = of_bundle(read_bundle(tmp_path / "own"))
    features = {each.name: each for each in of_network("x", own, parts, Cache(None))}
    assert list(features) == ["x, mean", "x, last4", "x, mean-whitened", "x, last4-whitened"]
    assert not np.allclose(features["x, mean-whitened"].make()[1], sets["x, mean-whitened"].make()[1], atol=0.1)

    names = [each.name for each in floors(parts, plain.config.pixels)]
    assert names[1::2] == [f"{name}, whitened" for name in names[::2]]


def test_the_cache_forgets_what_was_not_used_for_longest(tmp_path, monkeypatch):
    import os

    from training.probes import cache as module

    monkeypatch.setattr(module, "LIMIT", 9500)
    cache = module.Cache(tmp_path)
    make = partial(dict, a=np.zeros(1000, dtype=np.float32))
    for i, key in enumerate("abab"):
        cache.arrays([key], make)
        os.utime(tmp_path / f"{module.digest(key)}.safetensors", (1000 + i, 1000 + i))
    os.utime(tmp_path / f"{module.digest('a')}.safetensors", (2000, 2000))
    cache.arrays(["c"], make)
    assert {path.stem for path in tmp_path.iterdir()} == {module.digest("a"), module.digest("c")}


def test_two_probes_may_keep_the_same_thing_at_once(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    from training.probes.cache import Cache

    cache = Cache(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: cache.arrays(["x"], lambda: {"a": np.ones(50_000)})["a"].sum(), range(64)))
    assert found == [50_000] * 64


def test_a_cache_that_cannot_be_written_loses_nothing(tmp_path, caplog):
    from training.probes.cache import Cache

    (tmp_path / "file").write_text("")
    assert Cache(tmp_path / "file" / "cache").values(["x"], lambda: {"b": 2}) == {"b": 2}
    assert "cannot be kept" in caplog.text


@pytest.mark.parametrize(("size", "channels"), [((24, 16), 1), ((64, 32), 3), ((5, 32), 1), ((4, 224), 3)])
def test_floors_are_had_of_every_shape_of_pictures(size, channels):
    from models.preprocess import PixelRecipe
    from training.data import open_source
    from training.probes.features import floors

    recipe = PixelRecipe(size=size, channels=channels, mean=(0.5,) * channels, std=(0.2,) * channels)
    for features in floors((open_source("synthetic:30"), open_source("synthetic:12")), recipe):
        train, test = features.make()
        assert (len(train), len(test)) == (30, 12)
        assert train.shape[1] == test.shape[1]
        assert train.dtype == test.dtype == np.float32
        assert np.isfinite(train).all()
        assert np.isfinite(test).all()


def test_the_same_pictures_twice_are_refused(tmp_path):
    from training.commands.probe import open_parts

    with pytest.raises(DataError, match="the same pictures"):
        open_parts("synthetic:30,synthetic:30")
    with pytest.raises(DataError, match="names 3 parts"):
        open_parts("synthetic:30,synthetic:31,synthetic:32")


def test_a_broken_file_in_the_cache_is_made_again(tmp_path):
    from training.probes.cache import Cache

    cache = Cache(tmp_path)
    cache.arrays(["x"], lambda: {"a": np.ones(3)})
    cache.values(["x"], lambda: {"b": 1})
    for path in tmp_path.iterdir():
        path.write_bytes(b"torn")
    assert cache.arrays(["x"], lambda: {"a": np.full(3, 2.0)})["a"][0] == 2
    assert cache.values(["x"], lambda: {"b": 2}) == {"b": 2}


def test_a_changed_picture_changes_a_folders_digest(tmp_path):
    from PIL import Image

    from training.data import open_source

    for name in ("a/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("L", (8, 8), 10).save(tmp_path / name)
    before = open_source(str(tmp_path)).digest()
    assert open_source(str(tmp_path)).digest() == before
    Image.new("L", (8, 8), 11).save(tmp_path / "a/1.png")
    assert open_source(str(tmp_path)).digest() != before
