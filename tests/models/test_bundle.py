import json
import shutil

import pytest

from models.bundle import find_bundle, read_bundle
from models.errors import BundleError


@pytest.fixture
def copy(golden, tmp_path):
    return shutil.copytree(golden, tmp_path / "bundle")


def test_the_golden_bundle_is_whole_and_small(golden):
    bundle = read_bundle(golden)

    assert bundle.manifest.id == "golden"
    assert sum(file.size for file in bundle.manifest.files.values()) < 300_000


def test_an_altered_file_does_not_load(copy):
    graph = copy / "encoder.onnx"
    data = bytearray(graph.read_bytes())
    data[5000] ^= 1
    graph.write_bytes(data)

    with pytest.raises(BundleError, match=r"encoder\.onnx is not the file that the manifest describes"):
        read_bundle(copy)


def test_a_bundle_replaces_only_what_a_manifest_vouches_for(copy, tmp_path):
    """A manifest.json may be another program's, and a bundle's folder may hold somebody's notes."""
    from models.bundle import refuse_to_replace

    refuse_to_replace(copy)
    (copy / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"holds notes\.txt besides a bundle"):
        refuse_to_replace(copy)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "manifest.json").write_text('{"name": "my web app"}')
    with pytest.raises(BundleError, match="holds no bundle"):
        refuse_to_replace(tmp_path / "app")


def test_a_missing_file_is_named(copy):
    (copy / "predictor.onnx").unlink()
    with pytest.raises(BundleError, match=r"lacks predictor\.onnx"):
        read_bundle(copy)


@pytest.mark.parametrize("name", ["encoder.onnx", "canonical.safetensors"])
def test_weights_that_the_manifest_does_not_list_do_not_load(copy, name):
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"][name]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="nothing vouches for it"):
        read_bundle(copy)


def test_a_newer_format_is_refused_with_what_reads_it(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"format": 7}))
    with pytest.raises(BundleError, match="bundle format 7; this version reads up to 2"):
        read_bundle(copy)


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"format": 1, "id": "x"}'])
def test_a_malformed_manifest_is_an_error_in_one_sentence(copy, text):
    (copy / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json (cannot be read|is malformed)"):
        read_bundle(copy)


def test_an_unknown_name_lists_the_bundled_models():
    with pytest.raises(BundleError, match="none of the bundled models"):
        find_bundle("nowhere")


def test_distance_of_tokens_is_torchs():
    import numpy as np
    import torch
    from torch.nn import functional as F

    from models.bundle import Distance

    a, b = torch.randn(5, 8) * 2, torch.randn(5, 8) * 2
    difference = (a - b).numpy()
    for distance, expected in (
        (Distance(name="smooth_l1", beta=0.5), F.smooth_l1_loss(a, b, beta=0.5, reduction="none").mean(1)),
        (Distance(name="l2"), F.mse_loss(a, b, reduction="none").mean(1)),
    ):
        assert np.allclose(distance(difference), expected.numpy(), atol=1e-6)
