import pytest


@pytest.fixture
def batch(one_thread):
    """A tiny network, images and masks."""
    import torch

    from models.network.ijepa import IJEPA
    from tests.golden.make import tiny_config
    from training.objectives.base import MaskIds

    torch.manual_seed(0)
    model = IJEPA(tiny_config())
    order = torch.stack([torch.randperm(16) for _ in range(4)])
    return model, torch.randn(4, 3, 16, 16), MaskIds(order[:, :5].sort()[0], order[:, 5:13].view(4, 2, 4))


def test_the_distance_is_smooth_l1_or_the_papers_squared_distance(batch):
    import torch

    from models.network.encoder import gather_tokens
    from models.network.ijepa import layer_norm_targets
    from training.objectives.latent import Latent, LatentSettings

    model, images, masks = batch
    tokens = layer_norm_targets(model.target_encoder(images))
    targets = gather_tokens(tokens, masks.targets.reshape(4, 8)).view(4, 2, 4, -1)
    context = model.context_encoder(images, masks.context)
    difference = model.predict(context, masks.context, masks.targets) - targets
    squared, _ = Latent(LatentSettings(distance="l2"))(model, images, masks)
    half, _ = Latent(LatentSettings(beta=0.5))(model, images, masks)

    assert torch.isclose(squared, difference.square().mean())
    size = difference.abs()
    assert torch.isclose(half, torch.where(size < 0.5, size**2, size - 0.25).mean())


def test_it_logs_explained_variance_without_a_graph(batch):
    from training.objectives.latent import Latent, LatentSettings

    loss, logs = Latent(LatentSettings())(*batch)

    assert loss.requires_grad
    assert tuple(logs) == Latent.logs == ("explained_variance",)
    assert not logs["explained_variance"].requires_grad


def test_the_parts_of_the_network_can_be_wrapped(batch):
    """As DDP does: a module around each part that learns, under the same attribute."""
    import torch
    from torch import nn

    from training.objectives.latent import Latent, LatentSettings

    class Wrapper(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module, self.calls = module, 0

        def forward(self, *args):
            self.calls += 1
            return self.module(*args)

    model, images, masks = batch
    objective = Latent(LatentSettings())
    plain, _ = objective(model, images, masks)
    for name in ("context_encoder", "predictor", "target_encoder"):
        setattr(model, name, Wrapper(getattr(model, name)))

    assert torch.equal(objective(model, images, masks)[0], plain)
    assert [model.context_encoder.calls, model.predictor.calls, model.target_encoder.calls] == [1, 1, 1]
