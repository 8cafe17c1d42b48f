import hashlib

import numpy as np
import pytest

from models.errors import ConfigError
from models.images.grid import block_shapes
from training.masking.table import MASKINGS, make_masking

GRIDS = [(side, side) for side in range(4, 33)] + [(4, 9), (7, 12), (16, 5)]
DRAWS = 2000


def masking(grid, name="multiblock", seed=0, **settings):
    return make_masking(MASKINGS[name].settings(**settings), grid, seed)


@pytest.mark.parametrize("name", [name for name in MASKINGS if name != "reference"])
@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: f"{grid[0]}x{grid[1]}")
def test_every_strategy_keeps_its_promises_on_every_grid(name, grid):
    """Sizes as promised, no overlap, every patch reachable as context and as target, ascending ids."""
    n = grid[0] * grid[1]
    strategy = masking(grid, name=name)
    seen_context, seen_target = np.zeros(n, dtype=int), np.zeros(n, dtype=int)
    areas = set()
    for step in range(8):
        masks = strategy.draw(step, epoch=step, samples=np.arange(DRAWS // 8))
        b = DRAWS // 8
        assert masks.context.shape == (b, strategy.context_patches)
        assert masks.targets.shape[:2] == (b, {"multiblock": 4, "rasterized": 3}.get(name, 1))
        areas.add(masks.targets.shape[2])
        for ids in (masks.context, masks.targets):
            assert (np.diff(ids, axis=-1) > 0).all()
            assert ids.min() >= 0
            assert ids.max() < n
        context = np.zeros((b, n), dtype=bool)
        np.put_along_axis(context, masks.context, True, axis=1)
        assert not np.take_along_axis(context, masks.targets.reshape(b, -1), axis=1).any()
        seen_context += np.bincount(masks.context.reshape(-1), minlength=n)
        seen_target += np.bincount(masks.targets.reshape(-1), minlength=n)
    if name == "multiblock":
        assert areas <= set(block_shapes(grid, (0.15, 0.2), (0.75, 1.5)))
    for step in range(8, 40):
        if ((seen_context > 0) | (name == "block")).all() and (seen_target > 0).all():
            break
        masks = strategy.draw(step, epoch=step, samples=np.arange(500))
        seen_context += np.bincount(masks.context.reshape(-1), minlength=n)
        seen_target += np.bincount(masks.targets.reshape(-1), minlength=n)
    if name == "block":  # over 60 % of the grid, it always covers the middle, which then is never context
        assert seen_context[[0, grid[1] - 1, -grid[1], -1]].all()
        seen_context[:] = 1
    assert (seen_context > 0).all()
    assert (seen_target > 0).all()


def test_targets_are_whole_rectangles_of_one_area():
    strategy, grid = masking((14, 14)), (14, 14)
    for step in range(5):
        for blocks in strategy.draw(step, 0, np.arange(50)).targets:
            for ids in blocks:
                row, column = np.divmod(ids, grid[1])
                height, width = np.ptp(row) + 1, np.ptp(column) + 1
                assert height * width == len(ids)
                assert 0.15 * 196 * 0.8 < len(ids) < 0.2 * 196 * 1.2
                assert 0.5 < height / width < 2


@pytest.mark.parametrize("grid", [(4, 64), (64, 4), (7, 30)])
def test_targets_keep_their_area_on_elongated_grids(grid):
    n = grid[0] * grid[1]
    for area in block_shapes(grid, (0.15, 0.2), (0.75, 1.5)):
        assert 0.15 * n * 0.85 < area < 0.2 * n * 1.15


def test_the_same_draw_for_the_same_seed_step_and_sample():
    """Whatever the batch: a sample keeps its masks when it stands among others."""
    first, second = masking((7, 7)), masking((7, 7))
    samples = np.array([5, 17, 3, 99])
    a, b = first.draw(11, 2, samples), second.draw(11, 2, samples)
    alone = second.draw(11, 2, np.array([3]))

    assert np.array_equal(a.context, b.context)
    assert np.array_equal(a.targets, b.targets)
    assert np.array_equal(alone.context[0], a.context[2])
    assert np.array_equal(alone.targets[0], a.targets[2])


def test_other_seeds_epochs_and_samples_get_other_masks():
    strategy = masking((14, 14))
    here = strategy.draw(0, 0, np.arange(64)).context
    other_seed = masking((14, 14), seed=1).draw(0, 0, np.arange(64)).context

    assert (here != strategy.draw(0, 1, np.arange(64)).context).any(axis=1).mean() > 0.95
    assert (here != other_seed).any(axis=1).mean() > 0.95
    assert len(np.unique(here, axis=0)) > 60


def test_the_context_is_not_a_raster_prefix():
    """The published sampler keeps the first ids; here bottom rows are context as often as top rows."""
    strategy = masking((14, 14))
    rows = np.concatenate([strategy.draw(s, s, np.arange(500)).context.reshape(-1) // 14 for s in range(10)])
    share = np.bincount(rows, minlength=14) / len(rows)

    assert abs(share[:7].sum() - 0.5) < 0.01
    assert share.min() > 0.5 / 14


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"context_budget": 0.9}, "context_budget=0.9"),
        ({"targets": 40}, "40 target blocks"),
        ({"target_scale": (1.0, 1.0), "target_aspect": (1.0, 1.0)}, "target_scale"),
    ],
)
@pytest.mark.parametrize("grid", [(4, 4), (7, 7), (32, 32)])
def test_an_impossible_setting_is_an_error_that_names_it(settings, names, grid):
    with pytest.raises(ConfigError) as caught:
        masking(grid, **settings)
    assert names in str(caught.value)
    assert "at most 0.00" not in str(caught.value)


def test_the_largest_budget_that_an_error_names_is_accepted():
    with pytest.raises(ConfigError) as caught:
        masking((7, 7), context_budget=0.9)
    advised = float(str(caught.value).split("use at most ")[1].split(",")[0])
    assert masking((7, 7), context_budget=advised).context_patches > 1


def test_reference_has_the_statistics_of_the_published_sampler():
    """Against a simulation of the published code (14x14, batches of 128): 33.6 target patches, 50.4 context patches after
    the cut, 27 of 196 patches never used, and the context mostly from the top rows: 75 % of row 0 is kept, 6 % of row 11."""
    strategy = masking((14, 14), name="reference")
    used, kept, sizes = np.zeros(196, dtype=int), np.zeros(14), []
    for step in range(300):
        masks = strategy.draw(step, step, np.arange(128))
        sizes.append((masks.targets.shape[2], masks.context.shape[1]))
        for ids in masks:
            used += np.bincount(ids.reshape(-1), minlength=196)
        kept += np.bincount(masks.context.reshape(-1) // 14, minlength=14) / (128 * 14)
    target, context = np.mean(sizes, axis=0)

    assert abs(target - 33.6) < 0.5
    assert abs(context - 50.4) < 2.0
    assert (used == 0).sum() == 27
    assert (used.reshape(14, 14)[:13, :13] > 0).all()
    assert np.abs(kept[[0, 1, 4, 11]] / 300 - [0.75, 0.60, 0.27, 0.06]).max() < 0.05


@pytest.mark.parametrize(("grid", "min_keep"), [((16, 16), 10), ((8, 8), 4), ((7, 7), 4)])
def test_reference_keeps_context_and_targets_apart_but_where_it_gives_up(grid, min_keep):
    strategy = masking(grid, name="reference", min_keep=min_keep)
    n, overlaps, images = grid[0] * grid[1], 0, 0
    for step in range(20):
        masks = strategy.draw(step, step, np.arange(64))
        context = np.zeros((64, n), dtype=bool)
        np.put_along_axis(context, masks.context, True, axis=1)
        overlaps += np.take_along_axis(context, masks.targets.reshape(64, -1), axis=1).any(axis=1).sum()
        images += 64
        assert masks.context.shape[1] > min_keep
    assert overlaps / images < 0.2


@pytest.mark.parametrize("grid", [(4, 4), (6, 6), (7, 7), (8, 8)])
def test_reference_is_an_error_where_it_would_not_end(grid):
    with pytest.raises(ConfigError, match="would never end"):
        masking(grid, name="reference")


def test_the_masks_of_the_debug_recipe_never_change():
    """Of every step, as little-endian int64: the digest is that of the first version."""
    from training.recipes import RECIPES

    config = RECIPES["debug"]()
    strategy, digest = make_masking(config.masking, (8, 8), config.seed), hashlib.sha256()
    for step in range(60):
        for ids in strategy.draw(step, step // 16, np.arange(32) + 32 * (step % 16)):
            digest.update(ids.astype("<i8").tobytes())
    assert digest.hexdigest() == "405c9ef67b4fc5d4d79a4b0eed8756cadf245dac135450c977f12e4c13d30d32"
