import json
import warnings

import pytest

from ijepa.cli import main
from training.evaluation import kmeans

TRAIN, TEST = 30, 10


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def two_classes(photos, tmp_path):
    """40 photographs, without any meaning in their classes."""
    for i, path in enumerate(sorted(photos.iterdir())[: TRAIN + TEST]):
        folder = tmp_path / "photos" / ("train" if i < TRAIN else "test") / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path.name).symlink_to(path)
    return tmp_path / "photos"


def probe(*words):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return main(["probe", *map(str, words)])


@pytest.mark.parametrize("baselines", [True, False])
def test_photographs_are_probed_and_a_verdict_ends_the_output(
    golden, two_classes, tmp_path, capsys, monkeypatch, baselines
):
    monkeypatch.setattr(kmeans, "CENTROIDS", 20)
    options = [] if baselines else ["--no-baselines"]
    assert probe(golden, "--data", two_classes, "--json", tmp_path / "results.json", *options) == 0

    said, results = capsys.readouterr(), json.loads((tmp_path / "results.json").read_text())
    assert results["data"].startswith(f"{TEST} images")
    kinds = {row["features"] for row in results["rows"]}
    assert {"chance", "untrained, mean", "trained, mean", "trained, last4-whitened"} <= kinds
    assert ("raw pixels, 16x16" in kinds) == ("k-means over their patches, whitened" in kinds) == baselines
    assert [row["network"] for row in results["swap"]] == ["trained", "untrained"]
    last = said.out.rstrip("\n").splitlines()[-1]
    assert last.startswith("Verdict: ")
    assert "its untrained self (k-NN " in last
    assert ("the best baseline (k-NN " in last) == baselines
    assert ("baselines were not measured" in last) == (not baselines)
    assert "Verdict" not in json.dumps(results)
    assert "linear on trained, last4:" in said.err
    assert ("k-means: 20 centroids" in said.err) == baselines
    assert "Warning" not in said.err


def test_a_second_probe_takes_its_scores_from_the_cache_and_fresh_does_not(golden, two_classes, capsys):
    arguments = (golden, "--data", two_classes, "--no-baselines", "--method", "knn")
    printed = []
    for options, computed in (((), True), ((), False), (("--fresh",), True)):
        assert probe(*arguments, *options) == 0
        said = capsys.readouterr()
        printed.append(said.out)
        assert ("features of the trained network" in said.err) == computed
    assert printed[0] == printed[1] == printed[2]


def test_a_broken_photograph_of_the_test_part_stops_the_probe_and_is_named(golden, two_classes, capsys):
    (two_classes / "test" / "a" / "torn.jpg").write_bytes(
        next((two_classes / "test" / "a").iterdir()).read_bytes()[:900]
    )
    assert probe(golden, "--data", two_classes, "--method", "knn", "--no-baselines") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("ijepa probe: ")
    assert "test/a/torn.jpg cannot be read" in error
    assert error.endswith("a probe needs every image: remove this one, or replace it, and run again")


@pytest.mark.parametrize("method", ["nearest-mean", "swap"])
def test_what_is_left_out_of_a_part_is_said_once(golden, two_classes, capsys, method):
    for part in ("train", "test"):
        (two_classes / part / "a" / "notes.txt").write_text("x")
    assert probe(golden, "--data", two_classes, "--method", method, "--no-baselines") == 0
    said = capsys.readouterr()
    assert said.err.count("left out of 10 images of a folder named 'test': 1 .txt\n") == 1
    assert said.err.count("left out of ") == (1 if method == "swap" else 2)
    assert "left out of" not in said.out


def test_mismatched_blocks_need_no_classes(golden, photos, capsys):
    assert probe(golden, "--data", photos, "--method", "swap") == 0
    printed = capsys.readouterr().out
    assert "| trained | " in printed
    assert printed.splitlines()[-1].startswith("Verdict: ")
    assert "(mismatched blocks " in printed


def test_what_a_network_does_not_have_is_left_out_unless_it_is_asked_for(tmp_path, capsys, caplog):
    from models.checkpoint.record import TrainingRecord
    from models.checkpoint.store import write_checkpoint
    from tests.golden.make import tiny_config, tiny_model

    tensors = {name: each for name, each in tiny_model().state_dict().items() if name.startswith("target_encoder.")}
    write_checkpoint(tmp_path / "step", tiny_config(), tensors, TrainingRecord())
    arguments = (tmp_path / "step", "--data", "synthetic:60,synthetic:30")
    assert probe(*arguments, "--no-baselines") == 0
    assert "method swap was left out: this network has no predictor" in caplog.text
    assert probe(*arguments, "--method", "swap") == 1
    assert "ijepa probe: this network has no predictor" in capsys.readouterr().err
