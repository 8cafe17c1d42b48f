from contextlib import nullcontext

import pytest


@pytest.fixture
def world(one_thread):
    """A tiny network, its optimizer, and one batch with masks."""
    import numpy as np
    import torch

    from models.network.ijepa import IJEPA
    from tests.golden.make import tiny_config
    from training.config import OptimConfig
    from training.objectives.base import MaskIds
    from training.optim import make_optimizer

    torch.manual_seed(0)
    model = IJEPA(tiny_config())
    draw = np.random.default_rng(0)
    pixels = torch.from_numpy(draw.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8))
    order = torch.from_numpy(np.stack([draw.permutation(16) for _ in range(8)]))
    masks = MaskIds(order[:, :5].sort(dim=1)[0], order[:, 5:13].view(8, 2, 4))
    return model, make_optimizer(model, OptimConfig()), pixels, masks


def take(world, rates, steps=1):
    from training.objectives.latent import Latent, LatentSettings
    from training.step import train_step

    model, optimizer, pixels, masks = world
    objective = Latent(LatentSettings())
    return [train_step(model, optimizer, objective, pixels, masks, rates, nullcontext()) for _ in range(steps)]


def test_the_loss_falls_on_one_batch(world):
    from training.schedules import Rates

    results = take(world, Rates(lr=3e-3, weight_decay=0.0, ema=1.0), steps=80)

    assert results[-1].loss < 0.6 * results[0].loss
    assert results[-1].logs["explained_variance"] > results[0].logs["explained_variance"]


def test_the_target_encoder_changes_by_its_momentum_alone(world):
    import torch

    from training.schedules import Rates

    model = world[0]
    before = {name: p.clone() for name, p in model.target_encoder.named_parameters()}
    take(world, Rates(lr=1e-2, weight_decay=0.0, ema=0.9))

    for name, p in model.target_encoder.named_parameters():
        source = dict(model.context_encoder.named_parameters())[name]
        assert torch.allclose(p, 0.9 * before[name] + 0.1 * source, atol=1e-6)


def test_positions_and_the_target_encoder_get_no_gradient(world):
    from training.schedules import Rates

    model = world[0]
    take(world, Rates(lr=1e-3, weight_decay=0.1, ema=0.99))

    assert all(p.grad is None for p in model.target_encoder.parameters())
    assert model.context_encoder.pos_embed.grad is None
    assert model.predictor.pos_embed.grad is None


def test_only_matrices_decay(world):
    optimizer = world[1]
    names = {id(p): name for name, p in world[0].named_parameters()}
    decaying, kept = ([names[id(p)] for p in group["params"]] for group in optimizer.param_groups)

    assert all(name.endswith("weight") and "norm" not in name for name in decaying)
    assert all(name.endswith(("bias", "mask_token")) or "norm" in name for name in kept)
