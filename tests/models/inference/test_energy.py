"""Draws of blocks, and the energies of the patches that they hide."""

import numpy as np
import pytest

from models.bundle.manifest import Masking
from models.errors import ConfigError
from models.inference.energy import draw_blocks, energy_maps

MASKING = Masking(targets=4, target_scale=(0.15, 0.2), target_aspect=(0.75, 1.5))


@pytest.mark.parametrize("grid", [(4, 4), (7, 7), (16, 16), (3, 12)])
def test_draws_hide_blocks_keep_a_context_and_soon_reach_every_patch(grid):
    from models.images.grid import block_shapes

    draws = draw_blocks(MASKING, grid, count=40, seed=3)
    areas = set(block_shapes(grid, MASKING.target_scale, MASKING.target_aspect))
    for context, targets in draws:
        hidden = np.unique(np.concatenate(targets))
        assert len(targets) == 4
        assert {len(block) for block in targets} <= areas
        assert len(context) > 0
        assert np.array_equal(np.sort(np.concatenate([context, hidden])), np.arange(grid[0] * grid[1]))
    assert len(set(np.concatenate([block for draw in draws for block in draw.targets]))) == grid[0] * grid[1]


def test_the_same_seed_gives_the_same_draws():
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
        from models.inference.prediction import layer_norm

        actual = layer_norm(self.encode(context_tokens, ())["tokens"][0], 1e-5)
        return actual[target_ids] + 0.1 * (1 + target_ids[..., None]).astype(np.float32)


def test_energy_is_the_models_distance_averaged_over_the_draws_that_hid_a_patch(golden):
    from models.bundle.reader import read_bundle

    manifest = read_bundle(golden).manifest
    maps = energy_maps(Constant(), manifest, np.zeros((2, 16, 16, 3), np.uint8), draw_blocks(MASKING, (4, 4), 30, 0))
    off = 0.1 * (1 + np.arange(16.0))
    expected = np.where(off < 1, off**2 / 2, off - 0.5)

    assert maps.shape == (2, 4, 4)
    assert np.allclose(maps.reshape(2, 16), expected, atol=1e-5)


def test_masks_other_than_blocks_are_an_error():
    with pytest.raises(ConfigError, match="masking 'random'; energies need one of multiblock, reference"):
        draw_blocks(Masking(name="random"), (7, 7), 1, 0)


def test_a_patch_that_no_draw_hid_has_no_energy(golden):
    from models.bundle.reader import read_bundle

    manifest = read_bundle(golden).manifest
    (draw,) = draw_blocks(MASKING, (4, 4), 1, 0)
    (energies,) = energy_maps(Constant(), manifest, np.zeros((1, 16, 16, 3), np.uint8), [draw])
    assert np.array_equal(np.flatnonzero(np.isnan(energies)), np.sort(draw.context))


def test_energies_are_those_of_predicted_regions(golden):
    """One draw of two images, by the bundle's own runtime."""
    from models.bundle.reader import read_bundle
    from models.inference.prediction import TargetSpace, predict_regions
    from models.runtimes.select import open_runtime

    bundle = read_bundle(golden)
    networks = open_runtime("onnxruntime", bundle, threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    draw = draw_blocks(MASKING, (4, 4), 1, 5)[0]
    draw = draw._replace(targets=draw.targets[:1])
    maps = energy_maps(networks, bundle.manifest, pixels, [draw])
    regions = predict_regions(networks, TargetSpace.of(bundle.manifest), pixels, [draw, draw])
    for image, (region,) in zip(maps, regions, strict=True):
        np.testing.assert_allclose(image.reshape(-1)[region.patches], region.energy_per_patch, rtol=1e-5)


def test_blocks_that_never_leave_a_patch_are_an_error():
    """A bundle from elsewhere may name any; a draw would be repeated for ever."""
    masking = Masking(name="multiblock", targets=64, target_scale=(0.7, 0.7), target_aspect=(1, 1))
    with pytest.raises(ConfigError, match=r"64 blocks of target_scale=.* cover the whole 4x4 grid"):
        draw_blocks(masking, (4, 4), 1, 0)
