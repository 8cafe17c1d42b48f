import pytest


@pytest.fixture
def model():
    import torch

    from models.config import EncoderConfig, ModelConfig, PredictorConfig
    from models.images.preprocess import Preprocessing
    from models.network.ijepa import IJEPA

    torch.manual_seed(0)
    encoder = EncoderConfig(width=32, depth=2, heads=2, hidden=64, patch_size=4, grid=(4, 4), channels=1)
    preprocessing = Preprocessing(size=(16, 16), channels=1, mean=(0.5,), std=(0.5,))
    return IJEPA(
        ModelConfig(encoder=encoder, predictor=PredictorConfig(width=16, depth=2, heads=2), pixels=preprocessing)
    ).eval()


def test_target_blocks_do_not_see_one_another(model):
    import torch

    pixels = torch.randn(2, 1, 16, 16)
    context = torch.tensor([[0, 1, 2], [5, 6, 7]])
    targets = torch.tensor([[[8, 9], [12, 13]], [[10, 11], [14, 15]]])
    tokens = model.encode_context(pixels, context)

    together = model.predict(tokens, context, targets)
    alone = torch.cat([model.predict(tokens, context, targets[:, i : i + 1]) for i in range(2)], dim=1)

    assert torch.allclose(together, alone, atol=1e-6)


def test_targets_are_normed_tokens_of_the_target_encoder(model):
    import torch
    from torch.nn import functional as F

    pixels, targets = torch.randn(1, 1, 16, 16), torch.tensor([[[3, 4], [9, 10]]])
    expected = F.layer_norm(model.target_encoder(pixels), (32,))[0, [3, 4, 9, 10]].view(1, 2, 2, 32)

    given = model.encode_targets(pixels, targets)
    assert torch.allclose(given, expected, atol=1e-6)
    assert not given.requires_grad


def test_the_target_encoder_starts_as_the_context_encoder_and_never_trains(model):
    import torch

    pairs = zip(model.target_encoder.parameters(), model.context_encoder.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not any(p.requires_grad for p in model.target_encoder.parameters())


def test_the_prediction_depends_on_where_the_target_is(model):
    import torch

    pixels, context = torch.randn(1, 1, 16, 16), torch.tensor([[0, 1, 2]])
    tokens = model.encode_context(pixels, context)

    first, second = (model.predict(tokens, context, torch.tensor([[[i]]])) for i in (8, 15))
    assert not torch.allclose(first, second)


def test_shapes_are_checked_in_tests(model):
    import torch
    from jaxtyping import TypeCheckError

    with pytest.raises(TypeCheckError):
        model.encode_context(torch.randn(1, 16, 16), torch.tensor([[0]]))
