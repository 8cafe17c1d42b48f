import pytest
from pydantic import ValidationError

from models.config import SIZES, EncoderConfig, ModelConfig, model_of_size
from models.errors import ConfigError
from models.images.preprocess import Preprocessing


def test_every_size_has_heads_and_positions_that_fit():
    for name, row in SIZES.items():
        config = model_of_size(name, patch_size=16, pixels=Preprocessing(size=(224, 224)))
        assert (config.encoder.width, config.predictor.depth) == (row.width, row.predictor_depth)


@pytest.mark.parametrize(
    ("size", "image", "message"),
    [
        ("enormous", (224, 224), "unknown model size 'enormous'; the sizes are pico, nano"),
        ("pico", (225, 225), "image size 225 is not divisible by patch size 16"),
        ("pico", (224, 40), "image size 40 is not divisible by patch size 16"),
    ],
)
def test_impossible_networks_are_errors(size, image, message):
    with pytest.raises(ConfigError, match=message):
        model_of_size(size, patch_size=16, pixels=Preprocessing(size=image))


@pytest.mark.parametrize(("width", "hidden"), [(44, 60), (1408, 1920), (1664, 4032)])
def test_every_hidden_width_is_the_one_that_was_asked_for(width, hidden):
    """timm multiplies by a ratio and truncates."""
    import torch

    from models.network.encoder import Encoder

    with torch.device("meta"):
        encoder = Encoder(EncoderConfig(width=width, depth=1, heads=4, hidden=hidden, patch_size=4, grid=(2, 2)))
    assert encoder.blocks[0].mlp.fc1.out_features == hidden


@pytest.mark.parametrize("channels", [1, 3])
def test_the_flop_of_an_image_are_those_that_torch_counts(channels):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from models.network.encoder import Encoder

    config = EncoderConfig(width=48, depth=2, heads=3, hidden=100, patch_size=4, grid=(2, 5), channels=channels)
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        Encoder(config).eval()(torch.zeros(1, channels, *config.image_size))
    assert config.flop == counter.get_total_flops()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"width": 2**40}, "width"),
        ({"depth": 257}, "depth"),
        ({"heads": 1000}, "heads"),
        ({"hidden": 10**9}, "hidden"),
        ({"patch_size": 2000}, "patch_size"),
        ({"grid": (10**6, 1)}, "grid"),
        ({"grid": (1000, 1000), "patch_size": 1, "width": 64}, "encoder width 64 times 1,000,000 patches is too large"),
        ({"grid": (100, 100), "patch_size": 100}, "images of 10000x10000 pixels are too large"),
    ],
)
def test_a_network_that_no_machine_holds_is_an_error(changed, message):
    """Its tables of positions would be computed before a single tensor is compared."""
    values = {"width": 32, "depth": 1, "heads": 2, "hidden": 64, "patch_size": 4, "grid": (4, 4)}
    with pytest.raises(ValidationError, match=message):
        EncoderConfig(**values | changed)


@pytest.mark.parametrize("changed", [{"crop": 1e-300}, {"std": (0, 1, 1)}, {"mean": (float("nan"), 0, 0)}])
def test_preprocessing_without_meaning_is_an_error(changed):
    encoder = EncoderConfig(width=32, depth=1, heads=2, hidden=64, patch_size=4, grid=(4, 4))
    with pytest.raises(ValidationError, match="the preprocessing has"):
        ModelConfig(encoder=encoder, predictor=None, pixels=Preprocessing(size=(16, 16), **changed))
