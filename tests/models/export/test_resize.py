"""The same weights over another grid."""

import numpy as np
import pytest
import torch

from tests.golden.make import write_tiny_checkpoint


@pytest.fixture
def checkpoint(tmp_path):
    from models.checkpoint.store import read_checkpoint

    return read_checkpoint(write_tiny_checkpoint(tmp_path / "step"))


def test_the_formula_is_evaluated_where_the_new_patches_lie():
    """Twice as many patches a side: each old centre lies between two new ones, and every second pair averages to it in space."""
    from models.export.resize import resize_positions
    from models.network.encoder import sincos_positions

    table = torch.from_numpy(sincos_positions((4, 4), 16))[None]
    finer = resize_positions(table, (4, 4), (8, 4))[0].reshape(8, 4, 16)

    omega = 10000.0 ** (-np.arange(4) / 4)
    row = (5 + 0.5) / 2 - 0.5
    assert np.allclose(finer[5, 2, 8:12], np.sin(row * omega), atol=1e-6)
    assert np.allclose(finer[5, 2, :4], np.sin(2 * omega), atol=1e-6)
    assert torch.equal(resize_positions(table, (4, 4), (4, 4)), table)


def test_positions_that_learned_are_interpolated_smoothly():
    from models.export.resize import resize_positions

    row, column = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij")
    table = torch.stack([row, column, row + column, row - column], dim=-1).reshape(1, 36, 4)
    finer = resize_positions(table, (6, 6), (12, 6))[0].reshape(12, 6, 4)

    assert torch.allclose(finer[4:8, 2, 0], (torch.arange(4.0, 8) + 0.5) / 2 - 0.5, atol=0.06)


@pytest.mark.parametrize("size", [(32, 32), (8, 24)])
def test_a_bundle_of_another_size_or_shape_is_exported_and_predicts(checkpoint, size, tmp_path):
    from models.bundle.reader import read_bundle
    from models.export.pipeline import export_bundle
    from models.export.resize import resize_checkpoint
    from models.runtimes.onnxruntime import CPURuntime

    export_bundle(resize_checkpoint(checkpoint, size), tmp_path / "bundle", bundle_id="other")
    bundle = read_bundle(tmp_path / "bundle")
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    networks = CPURuntime(bundle)
    tokens = networks.encode(pixels, ["tokens"])["tokens"]
    ids = np.array([[0, 1, 2]] * 2)

    assert bundle.manifest.grid == (size[0] // 4, size[1] // 4)
    assert tokens.shape == (2, size[0] * size[1] // 16, 32)
    assert networks.predict(networks.encode_context(pixels, ids), ids, ids + 3).shape == (2, 3, 32)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((18, 16), "image size 18 is not divisible by patch size 4"),
        ((16, 18), "image size 18 is not divisible by patch size 4"),
        ((4, 8), "images of 4x8 pixels have 2 patches, expected at least 4"),
    ],
)
def test_a_size_that_the_network_cannot_have_is_an_error(checkpoint, size, message):
    from models.errors import ConfigError
    from models.export.resize import resize_checkpoint

    with pytest.raises(ConfigError, match=message):
        resize_checkpoint(checkpoint, size)


def test_results_of_another_size_do_not_go_into_a_bundle(checkpoint, tmp_path):
    from models.bundle.results import Results
    from models.checkpoint.store import WEIGHTS
    from models.errors import ConfigError
    from models.export.pipeline import export_bundle
    from models.export.resize import resize_checkpoint
    from models.io import sha256_of

    results = Results(checkpoint_sha256=sha256_of(checkpoint.folder / WEIGHTS), network="x", grid=(4, 4), data="y")
    with pytest.raises(ConfigError, match="results are of a grid of 4x4 patches, this export has 8x8"):
        export_bundle(resize_checkpoint(checkpoint, (32, 32)), tmp_path / "bundle", bundle_id="other", measured=results)
