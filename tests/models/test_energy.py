"""Draws of blocks, energies of patches, and what is usual of them."""

import numpy as np
import pytest
from PIL import Image

MASKING = {"targets": 4, "target_scale": (0.15, 0.2), "target_aspect": (0.75, 1.5)}


@pytest.mark.parametrize("grid", [(4, 4), (7, 7), (16, 16), (3, 12)])
def test_draws_hide_blocks_keep_a_context_and_soon_reach_every_patch(grid):
    from models.blocks import block_shapes
    from models.energy import draw_blocks

    draws = draw_blocks(MASKING, grid, count=40, seed=3)
    areas = set(block_shapes(grid, MASKING["target_scale"], MASKING["target_aspect"]))
    for context, targets in draws:
        hidden = np.unique(np.concatenate(targets))
        assert len(targets) == 4
        assert {len(block) for block in targets} <= areas
        assert len(context) > 0
        assert np.array_equal(np.sort(np.concatenate([context, hidden])), np.arange(grid[0] * grid[1]))
    assert len(set(np.concatenate([block for draw in draws for block in draw.targets]))) == grid[0] * grid[1]


def test_the_same_seed_gives_the_same_draws():
    from models.energy import draw_blocks

    a, b, c = (draw_blocks(MASKING, (7, 7), 3, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(x.context, y.context) for x, y in zip(a, b, strict=True))
    assert not all(np.array_equal(x.context, y.context) for x, y in zip(a, c, strict=True))


class Constant:
    """Networks whose tokens say which patch they are of, and whose predictions are off by a known amount."""

    def encode(self, pixels, outputs):
        rng = np.random.default_rng(0)
        return {"tokens": np.tile(rng.normal(size=(1, 16, 8)).astype(np.float32), (len(pixels), 1, 1))}

    def encode_context(self, pixels, context_ids):
        return np.zeros((*context_ids.shape, 8), dtype=np.float32)

    def predict(self, context_tokens, context_ids, target_ids):
        from models.energy import layer_norm

        actual = layer_norm(self.encode(context_tokens, ())["tokens"][0], 1e-5)
        return actual[target_ids] + 0.1 * (1 + target_ids[..., None]).astype(np.float32)


def test_energy_is_the_models_distance_averaged_over_the_draws_that_hid_a_patch(golden):
    from models.bundle import read_bundle
    from models.energy import draw_blocks, energy_maps

    manifest = read_bundle(golden).manifest
    maps = energy_maps(Constant(), manifest, np.zeros((2, 16, 16, 3), np.uint8), draw_blocks(MASKING, (4, 4), 30, 0))
    off = 0.1 * (1 + np.arange(16.0))
    expected = np.where(off < 1, off**2 / 2, off - 0.5)

    assert maps.shape == (2, 4, 4)
    assert np.allclose(maps.reshape(2, 16), expected, atol=1e-5)


def test_calibrate_writes_a_bundle_with_mean_and_spread(golden, tmp_path, capsys):
    from ijepa import main
    from models.bundle import read_bundle

    (tmp_path / "pictures").mkdir()
    for i in range(20):
        noise = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((16, 16)).save(tmp_path / "pictures" / f"{i}.png")
    arguments = ["calibrate", str(golden), "--data", f"folder:{tmp_path / 'pictures'}", "--out", str(tmp_path / "out")]

    assert main([*arguments, "--masks", "12"]) == 0
    before, after = read_bundle(golden), read_bundle(tmp_path / "out")
    calibration = after.manifest.calibration
    assert before.manifest.calibration is None
    assert np.array(calibration.mean).shape == np.array(calibration.std).shape == (4, 4)
    assert np.isfinite(calibration.mean).all()
    assert (np.array(calibration.std) > 0).all()
    assert (calibration.pictures, calibration.masks) == (20, 12)
    changed = {name for name in after.manifest.files if after.manifest.files[name] != before.manifest.files[name]}
    assert changed == {"MODEL_CARD.md"}
    assert "Energies are calibrated on" in after.path("MODEL_CARD.md").read_text()
    assert main([*arguments, "--masks", "12", "--id", "golden-2"]) == 0
    assert read_bundle(tmp_path / "out").manifest.id == "golden-2"
    assert main([*arguments, "--out", str(tmp_path / "pictures")]) == 1
    assert "holds no bundle" in capsys.readouterr().err
