"""The same weights over another grid."""

import numpy as np
import pytest
import torch

from tests.golden.make import write_tiny_checkpoint


@pytest.fixture
def checkpoint(tmp_path):
    from models.checkpoint import read_checkpoint

    return read_checkpoint(write_tiny_checkpoint(tmp_path / "step"))


def test_the_formula_is_evaluated_where_the_new_patches_lie():
    """Twice as many patches a side: each old centre lies between two new ones, and every second pair averages to it in space."""
    from models.encoder import sincos_positions
    from models.resize import resize_positions

    table = torch.from_numpy(sincos_positions((4, 4), 16))[None]
    finer = resize_positions(table, (4, 4), (8, 4))[0].reshape(8, 4, 16)

    omega = 10000.0 ** (-np.arange(4) / 4)
    row = (5 + 0.5) / 2 - 0.5
    assert np.allclose(finer[5, 2, 8:12], np.sin(row * omega), atol=1e-6)
    assert np.allclose(finer[5, 2, :4], np.sin(2 * omega), atol=1e-6)
    assert torch.equal(resize_positions(table, (4, 4), (4, 4)), table)


def test_positions_that_learned_are_interpolated_smoothly():
    from models.resize import resize_positions

    row, column = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij")
    table = torch.stack([row, column, row + column, row - column], dim=-1).reshape(1, 36, 4)
    finer = resize_positions(table, (6, 6), (12, 6))[0].reshape(12, 6, 4)

    assert torch.allclose(finer[4:8, 2, 0], (torch.arange(4.0, 8) + 0.5) / 2 - 0.5, atol=0.06)


@pytest.mark.parametrize("size", [(32, 32), (8, 24), (16, 16)])
def test_a_bundle_of_another_size_or_shape_is_exported_and_predicts(checkpoint, size, tmp_path):
    from models.bundle import read_bundle
    from models.export import export_bundle
    from models.resize import resized
    from models.session import BundleSessions

    export_bundle(resized(checkpoint, size), tmp_path / "bundle", bundle_id="other")
    bundle = read_bundle(tmp_path / "bundle")
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    networks = BundleSessions(bundle)
    tokens = networks.encode(pixels, ["tokens"])["tokens"]
    ids = np.array([[0, 1, 2]] * 2)

    assert bundle.manifest.grid == (size[0] // 4, size[1] // 4)
    assert tokens.shape == (2, size[0] * size[1] // 16, 32)
    assert networks.predict(networks.encode_context(pixels, ids), ids, ids + 3).shape == (2, 3, 32)


def test_no_whole_number_of_patches_is_an_error(checkpoint, tmp_path, capsys):
    from ijepa import main

    code = main(["export", str(checkpoint.folder), "--out", str(tmp_path / "x"), "--size", "18x16"])
    assert code == 1
    assert "18x16 pixels are no whole number of 4x4 patches" in capsys.readouterr().err
    assert main(["export", str(checkpoint.folder), "--out", str(tmp_path / "x"), "--size", "big"]) == 2
    assert "--size 'big' is no size" in capsys.readouterr().err
    assert main(["export", str(checkpoint.folder), "--out", str(tmp_path / "x"), "--size", "4x8"]) == 1
    assert "have 2 patches; a network needs 4" in capsys.readouterr().err


def test_results_of_another_size_do_not_go_into_a_bundle(checkpoint, tmp_path):
    from models.checkpoint import WEIGHTS
    from models.errors import ConfigError
    from models.export import export_bundle
    from models.files import sha256_of
    from models.resize import resized
    from models.results import Results

    results = Results(checkpoint_sha256=sha256_of(checkpoint.folder / WEIGHTS), network="x", grid=(4, 4), data="y")
    with pytest.raises(ConfigError, match="results are of a grid of 4x4 patches, this export has 8x8"):
        export_bundle(resized(checkpoint, (32, 32)), tmp_path / "bundle", bundle_id="other", measured=results)
