import pytest

from models.errors import ConfigError
from training.config import differences, override, settings_of
from training.recipes import RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_builds_a_network_and_masks_for_it(name):
    from training.masking import make_masking

    config = RECIPES[name]()
    network = config.network.build()
    assert make_masking(config.masking, network.encoder.grid, config.seed)
    assert RECIPES[name].__doc__


def test_settings_are_overridden_by_name():
    config = override(RECIPES["debug"](), ["optim.lr=0.5", "data.crop_scale=[0.2,0.9]", "seed=7", "data.uri=folder:x"])

    assert config.optim.lr == 0.5
    assert config.data.crop_scale == (0.2, 0.9)
    assert config.seed == 7
    assert config.data.uri == "folder:x"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("optim.lr", "write section.field=value"),
        ("optim.speed=1", "'optim.speed' is unknown; the settings are data.uri"),
        ("lr=1", "unknown"),
        ("optim=1", "unknown"),
        ("optim.lr=fast", "optim.lr='fast'"),
        ("optim.batch_size=0", "optim.batch_size=0"),
        ("masking.name=squares", "multiblock"),
        ("optim.warmup=99", "must be shorter than the run"),
    ],
)
def test_a_wrong_setting_is_an_error_that_says_what_is_right(assignment, message):
    with pytest.raises(ConfigError) as caught:
        override(RECIPES["debug"](), [assignment])
    assert message in str(caught.value)


def test_differences_name_the_fields():
    config = RECIPES["debug"]()
    other = override(config, ["optim.lr=0.5", "run.log_every=1"])
    assert differences(config.result_half(), other.result_half()) == ["optim.lr was 0.001, is 0.5"]


def test_every_setting_has_one_dotted_name():
    names = settings_of(RECIPES["debug"]())
    assert len(set(names)) == len(names) > 35
