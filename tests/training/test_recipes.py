import pytest

from models.errors import ConfigError
from training.recipes import RECIPES, configure


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_keeps_its_network_with_its_own_images(name):
    recipe = RECIPES[name]()
    assert configure(name, []) == recipe
    assert configure(name, [f"data.uri={recipe.data.uri}", "seed=1"]).network == recipe.network


@pytest.mark.parametrize(
    ("assignments", "channels", "mean"),
    [
        ([], None, None),
        (["network.channels=1"], 1, None),
        (["network.channels=1", "network.mean=[0.4]", "network.std=[0.2]"], 1, (0.4,)),
        (["network.mean=null", "network.std=null"], None, None),
    ],
)
def test_other_images_have_channels_and_statistics_of_their_own_unless_given(assignments, channels, mean):
    network = configure("debug", ["data.uri=folder:x", *assignments]).network
    assert (network.channels, network.mean) == (channels, mean)
    assert network.image_size == 32


def test_other_images_have_intervals_that_fit_their_number_unless_given():
    run = configure("debug", ["data.uri=folder:x", "run.log_every=7"]).run
    assert (run.log_every, run.checkpoint_every) == (7, None)
    assert configure("debug", []).run == RECIPES["debug"]().run


def test_an_unknown_recipe_is_an_error_that_lists_them():
    with pytest.raises(ConfigError, match="unknown recipe 'imagenet'; the recipes are debug, fashion-mnist"):
        configure("imagenet", [])
