import numpy as np
import pytest


@pytest.fixture
def config():
    from models.config import EncoderConfig

    return EncoderConfig(width=32, depth=2, heads=2, hidden=64, patch_size=4, grid=(3, 5), channels=1)


def test_positions_are_those_of_the_published_table():
    """First half the column, second the row, each sines then cosines of integer coordinates, by plain loops."""
    from models.network.encoder import sincos_positions

    rows, columns, width = 3, 5, 16
    expected = np.zeros((rows * columns, width))
    for row in range(rows):
        for column in range(columns):
            for half, coordinate in ((0, column), (1, row)):
                for k in range(width // 4):
                    angle = coordinate * 10000 ** (-k / (width / 4))
                    expected[row * columns + column, half * width // 2 + k] = np.sin(angle)
                    expected[row * columns + column, half * width // 2 + width // 4 + k] = np.cos(angle)

    assert np.abs(sincos_positions((rows, columns), width) - expected).max() < 1e-6


def test_a_stripped_checkpoint_loads_strictly_into_timm_and_gives_the_same_tokens(config):
    import torch
    from timm.models.vision_transformer import VisionTransformer

    from models.network.encoder import Encoder

    ours = Encoder(config).eval()
    theirs = VisionTransformer(
        img_size=config.image_size, patch_size=4, in_chans=1, num_classes=0, global_pool="avg", fc_norm=False,
        class_token=False, embed_dim=32, depth=2, num_heads=2, mlp_ratio=2,
    ).eval()  # fmt: skip
    theirs.load_state_dict(ours.state_dict(), strict=True)
    pixels = torch.randn(2, 1, 12, 20)

    assert torch.allclose(ours(pixels), theirs.forward_features(pixels), atol=1e-5)


def test_dropped_patches_cannot_be_seen(config):
    """Tokens of kept patches stay bit for bit the same whatever the other patches hold."""
    import torch

    from models.network.encoder import Encoder

    encoder = Encoder(config).eval()
    pixels = torch.randn(1, 1, 12, 20)
    changed = pixels.clone()
    changed[:, :, :4, :4] = 100.0
    ids = torch.arange(1, 15)[None]

    assert torch.equal(encoder(pixels, ids), encoder(changed, ids))
    assert not torch.allclose(encoder(pixels), encoder(changed))


def test_padding_is_attended_by_nothing(config):
    import torch

    from models.network.encoder import Encoder

    encoder = Encoder(config).eval()
    pixels, ids = torch.randn(1, 1, 12, 20), torch.tensor([[2, 3, 7]])
    padded = torch.tensor([[2, 3, 7, 0, 0]])
    mask = torch.tensor([True, True, True, False, False])[None, None, None]

    assert torch.allclose(encoder(pixels, ids), encoder(pixels, padded, mask)[:, :3], atol=1e-6)


def test_gather_takes_each_images_own_tokens():
    import torch

    from models.network.encoder import gather_tokens

    x = torch.arange(2 * 4 * 3, dtype=torch.float32).view(2, 4, 3)
    taken = gather_tokens(x, torch.tensor([[3, 0], [1, 1]]))

    assert torch.equal(taken, torch.stack([x[0, [3, 0]], x[1, [1, 1]]]))


def test_positions_never_train(config):
    from models.network.encoder import Encoder

    assert not Encoder(config).pos_embed.requires_grad


@pytest.mark.parametrize("channels", [1, 3])
def test_normalise_is_scale_then_mean_and_deviation(channels):
    import torch

    from models.images.preprocess import Preprocessing
    from models.network.encoder import normalise

    preprocessing = Preprocessing(size=(2, 2), channels=channels, mean=(0.5,) * channels, std=(0.25,) * channels)
    pixels = torch.tensor([0, 51, 102, 255], dtype=torch.uint8).view(1, 2, 2, 1).repeat(1, 1, 1, channels)

    expected = (pixels.float().permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    assert torch.allclose(normalise(pixels, preprocessing), expected, atol=1e-6)


def test_parameters_of_the_papers_sizes_are_counted_as_published():
    """Trainable parameters of the encoder, reference: 85.647 M for B/16 at 224 (meta device, nothing is allocated)."""
    import torch

    from models.config import model_of_size
    from models.images.preprocess import Preprocessing
    from models.network.encoder import Encoder

    config = model_of_size("base", patch_size=16, pixels=Preprocessing(size=(224, 224)))
    learning = sum(p.numel() for p in Encoder(config.encoder).parameters() if p.requires_grad)
    assert round(learning / 1e6, 3) == 85.647
    assert torch.is_grad_enabled()
