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
        ("data.crop_aspect=[0,1]", "greater than 0"),
        ("data.crop_scale=[0.9,0.2]", "runs backwards"),
        ("masking.target_aspect=[-1,1]", "greater than 0"),
        ("network.predictor_width=0", "greater than or equal to 1"),
        ("seed=99999999999999999999", "seed"),
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


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["network.channels=3"], "network.mean=null network.std=null"),
        (["network.predictor_width=30"], "multiple of 4"),
        (["network.patch_size=5"], "no whole number of 5x5 patches"),
    ],
)
def test_a_network_that_cannot_be_is_an_error_in_one_sentence(assignments, message):
    with pytest.raises(ConfigError) as caught:
        override(RECIPES["debug"](), assignments).network.build()
    assert message in str(caught.value)


def test_a_grey_recipe_takes_colour_with_the_usual_mean():
    from models.preprocess import IMAGENET_MEAN

    colour = override(
        RECIPES["debug"](), ["network.channels=3", "network.mean=null", "network.std=null"]
    ).network.build()
    assert colour.pixels.mean == IMAGENET_MEAN


def test_what_settings_prints_can_be_given_back(capsys):
    import ijepa

    assert ijepa.main(["train", "debug", "--settings"]) == 0
    printed = capsys.readouterr().out.split("\n")[:-1]
    assert override(RECIPES["debug"](), printed) == RECIPES["debug"]()
