"""The manifest: old formats, and the distance that it names."""

import hashlib
import json

import pytest

from models.bundle.manifest import FORMAT, Distance, Masking
from models.bundle.reader import read_bundle, read_manifest

GOLDEN_SHA256 = "84c65fc2bae8186b76e6ac80f4fa8f4be3e560d552b209abd29537f4e90caad5"


def format_2(golden):
    """A manifest of format 2 with every field that had another name."""
    document = json.loads((golden / "manifest.json").read_text())
    accuracy = {name: {"first_percentile": 0.999, "mean": 0.9999} for name in document["parity"]}
    row = {
        "features": "trained, mean",
        "numbers": 32,
        "probe": "linear",
        "accuracy": 0.5,
        "low": 0.4,
        "high": 0.6,
        "chosen": "",
    }
    swap = {
        "network": "trained", "pairs": 9, "higher": 0.9, "low": 0.8, "high": 1.0, "own_energy": 0.1, "foreign_energy": 0.3,
        "all_pairs": 10, "all_higher": 0.9,
    }  # fmt: skip
    return document | {
        "format": 2,
        "variants": {"int8": {"accuracy": accuracy, "pictures": 1000, "measured_on": "1,000 pictures"}},
        "tolerance": {"float32": 1e-4, "int8": 0.1},
        "whitening": {"pictures": 300, "measured_on": "300 pictures"},
        "calibration": {
            "mean": [[0.1] * 4] * 4, "std": [[0.2] * 4] * 4, "masks": 8, "pictures": 100, "measured_on": "100 pictures",
        },
        "probes": {
            "checkpoint_sha256": "c", "network": "checkpoint", "grid": [4, 4], "data": "d", "rows": [row], "swap": [swap],
        },
        "masking": {"name": "multiblock", "targets": 4, "target_scale": [0.1, 0.2], "context_budget": 0.35},
    }  # fmt: skip


def test_the_golden_bundle_of_format_1_reads_and_its_canonical_outputs_are_reproduced(golden):
    """Its files are those that an older version wrote."""
    from models.inference.canonical import check_canonical
    from models.runtimes.onnxruntime import CPURuntime

    assert json.loads((golden / "manifest.json").read_text())["format"] == 1
    assert hashlib.sha256((golden / "manifest.json").read_bytes()).hexdigest() == GOLDEN_SHA256
    bundle = read_bundle(golden)

    assert (bundle.manifest.format, bundle.sha256) == (FORMAT, GOLDEN_SHA256)
    assert (bundle.manifest.masking, bundle.manifest.probes) == (Masking(), None)
    check_canonical(CPURuntime(bundle), bundle)


def test_a_manifest_of_format_2_reads_with_its_old_field_names(golden, tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(format_2(golden)))
    manifest = read_manifest(tmp_path)

    assert manifest.format == FORMAT
    assert (manifest.variants["int8"].images, manifest.whitening.images, manifest.calibration.images) == (
        1000,
        300,
        100,
    )
    assert manifest.probes.rows[0].dimensions == 32
    assert manifest.probes.swap[0].mismatched_energy == 0.3
    assert manifest.masking.target_scale == (0.1, 0.2)
    assert manifest.masking.model_dump()["context_budget"] == 0.35
    assert (manifest.source.steps, manifest.source.runs) == (0, None)


def test_only_block_maskings_have_target_blocks():
    paper = {"targets": 4, "target_scale": (0.15, 0.2), "target_aspect": (0.75, 1.5)}
    for name in ("multiblock", "reference"):
        assert Masking(name=name).model_dump() == {"name": name, **paper}
        assert Masking(name=name, targets=None).blocks == (4, (0.15, 0.2), (0.75, 1.5))
    random = Masking.model_validate({"name": "random", "share": 0.75})
    assert json.loads(random.model_dump_json()) == {"name": "random", "share": 0.75}
    assert random.blocks is None


def test_a_manifest_that_records_blocks_for_another_strategy_still_reads(golden, tmp_path):
    document = json.loads((golden / "manifest.json").read_text())
    document["masking"] = {"name": "random", "targets": 4, "target_scale": [0.15, 0.2], "target_aspect": [0.75, 1.5]}
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    assert read_manifest(tmp_path).masking.blocks is None


def test_a_field_that_the_format_does_not_have_is_named(golden, tmp_path):
    from models.errors import BundleError

    document = json.loads((golden / "manifest.json").read_text())
    document["source"]["epochs"] = 3
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match=r"manifest\.json is malformed: source\.epochs"):
        read_manifest(tmp_path)


def test_distance_of_tokens_is_that_of_pytorch():
    import numpy as np
    import torch
    from torch.nn import functional as F

    a, b = torch.randn(5, 8) * 2, torch.randn(5, 8) * 2
    difference = (a - b).numpy()
    for distance, expected in (
        (Distance(name="smooth_l1", beta=0.5), F.smooth_l1_loss(a, b, beta=0.5, reduction="none").mean(1)),
        (Distance(name="l2"), F.mse_loss(a, b, reduction="none").mean(1)),
    ):
        assert np.allclose(distance(difference), expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("tolerance", [{}, {"int8": 0.1}], ids=str)
def test_a_manifest_without_the_tolerance_of_float32_is_malformed(golden, tmp_path, tolerance):
    from models.errors import BundleError

    document = json.loads((golden / "manifest.json").read_text()) | {"tolerance": tolerance}
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match=r"is malformed: .*tolerance has no value for float32"):
        read_manifest(tmp_path)
