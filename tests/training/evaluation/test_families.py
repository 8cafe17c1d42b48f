"""A member that is new to the tables is used by the command, without another line anywhere."""

import json

import numpy as np
import pytest

from models.bundle.results import SwapRow
from training.evaluation.base import Classifier, FeatureProbe, NetworkProbe
from training.evaluation.baselines import BASELINES, Baseline
from training.evaluation.table import PROBES

DATA = "synthetic:60,synthetic:30"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def toy_predict(train, labels, test, choices):
    return [np.full(len(test), choice, dtype=np.int64) for choice in choices]


def toy_features(train, test, progress):
    return tuple(part.reshape(len(part), -1).mean(axis=1, keepdims=True).astype(np.float32) for part in (train, test))


def test_a_toy_probe_and_a_toy_baseline_are_measured(golden, tmp_path, monkeypatch, capsys):
    from ijepa.cli import main

    monkeypatch.setitem(
        PROBES, "toy", FeatureProbe("a toy", (Classifier("toy column", toy_predict, "t", (0, 1), "Toy"),))
    )
    for name in list(BASELINES):
        monkeypatch.delitem(BASELINES, name)
    monkeypatch.setitem(BASELINES, "brightness", Baseline("brightness, {width}x{height}", toy_features))
    results = tmp_path / "results.json"

    assert main(["probe", str(golden), "--data", DATA, "--method", "toy", "--json", str(results)]) == 0

    printed = capsys.readouterr().out
    rows = json.loads(results.read_text())["rows"]
    assert {row["probe"] for row in rows[1:]} == {"toy column"}
    assert [row["features"] for row in rows[1:3]] == ["brightness, 16x16", "brightness, 16x16, whitened"]
    assert all(row["accuracy"] == 0.5 for row in rows[1:])
    assert "| toy column |" in printed
    assert printed.splitlines()[-1] == (
        "Verdict: not distinguishable from its untrained self (Toy 50.0 vs 50.0 %), "
        "not distinguishable from the best baseline (Toy 50.0 vs 50.0 % of brightness, 16x16)."
    )


def test_a_toy_probe_of_the_network_is_asked_of_the_test_part(golden, monkeypatch, capsys):
    from ijepa.cli import main

    def measure(name, network, source, progress):
        assert len(source) == 30
        return SwapRow(
            network=name,
            pairs=1,
            higher=0.5,
            low=0,
            high=1,
            own_energy=0,
            mismatched_energy=0,
            all_pairs=1,
            all_higher=0.5,
        )

    monkeypatch.setitem(PROBES, "toy", NetworkProbe("a toy", measure))
    assert main(["probe", str(golden), "--data", DATA, "--method", "toy"]) == 0
    assert "| trained | 1 of 1 |" in capsys.readouterr().out


def test_help_and_choices_are_the_tables(monkeypatch, capsys):
    from ijepa.cli import main

    monkeypatch.setitem(PROBES, "toy", FeatureProbe("a toy member", ()))
    with pytest.raises(SystemExit):
        main(["probe", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    for name, probe in PROBES.items():
        assert f"{name}: {probe.summary}" in printed
    with pytest.raises(SystemExit):
        main(["probe", "x", "--data", DATA, "--method", "fly"])
    assert "'toy'" in capsys.readouterr().err
