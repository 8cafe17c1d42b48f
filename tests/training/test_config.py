import pytest

from models.errors import ConfigError
from training.config import ExecutionConfig, NetworkConfig, differences, override, settings_of
from training.masking.reference import ReferenceSettings
from training.recipes import RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_builds_a_network_and_masks_for_it(name):
    from training.masking.table import make_masking

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
        ("optim.speed=1", "unknown setting 'optim.speed'; the settings are data.uri"),
        ("lr=1", "unknown setting 'lr'"),
        ("optim=1", "unknown setting 'optim'"),
        ("optim.lr=fast", "optim.lr='fast'"),
        ("optim.batch_size=0", "optim.batch_size=0"),
        ("masking.name=squares", "unknown masking 'squares'; the names are multiblock, reference"),
        ("masking.name=[]", "unknown masking []; the names are multiblock"),
        ("masking.hidden=0.5", "unknown setting 'masking.hidden'"),
        ("optim.warmup=99", "must be shorter than the run"),
        ("data.crop_aspect=[0,1]", "greater than 0"),
        ("data.crop_scale=[0.9,0.2]", "expected a range with the smaller number first, not [0.9, 0.2]"),
        ("masking.target_aspect=[-1,1]", "greater than 0"),
        ("network.predictor_width=0", "greater than or equal to 1"),
        ("seed=99999999999999999999", "seed"),
        ("run.threads=-3", "run.threads=-3: input should be greater than or equal to 0"),
        ("optim.betas=[1.5,2]", "optim.betas[0]=1.5: input should be less than 1"),
        ("data.uri=", "data.uri=''"),
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
        (["network.patch_size=5"], "image size 32 is not divisible by patch size 5"),
    ],
)
def test_a_network_that_cannot_be_is_an_error_in_one_sentence(assignments, message):
    with pytest.raises(ConfigError) as caught:
        override(RECIPES["debug"](), assignments).network.build()
    assert message in str(caught.value)


def test_colour_has_the_mean_of_imagenet():
    from models.images.preprocess import IMAGENET_MEAN

    assert NetworkConfig(channels=3).build().pixels.mean == IMAGENET_MEAN
    assert NetworkConfig(channels=1).build().pixels.mean == (pytest.approx(sum(IMAGENET_MEAN) / 3),)


def test_what_settings_prints_can_be_given_back(capsys):
    from ijepa.cli import main

    assert main(["train", "debug", "--settings"]) == 0
    printed = capsys.readouterr().out.split("\n")[:-1]
    assert override(RECIPES["debug"](), printed) == RECIPES["debug"]()


def test_naming_another_member_starts_from_its_defaults():
    """What the configuration had for the one before does not carry over, unless it is given beside the name."""
    config = override(RECIPES["fashion-mnist"](), ["masking.name=reference"])
    assert config.masking == ReferenceSettings()
    config = override(RECIPES["fashion-mnist"](), ["masking.target_scale=[0.1,0.3]", "masking.name=reference"])
    assert config.masking == ReferenceSettings(target_scale=(0.1, 0.3))


def test_naming_the_same_member_changes_nothing():
    config = RECIPES["fashion-mnist"]()
    assert override(config, ["masking.name=multiblock"]) == config


@pytest.mark.parametrize("steps", [1, 22, 60, 198, 39_375, 1_000_000])
def test_intervals_fit_the_run(steps):
    run = ExecutionConfig()
    rows, checkpoints = steps / run.log_interval(steps), steps / run.checkpoint_interval(steps)

    assert min(steps, 66) <= rows <= 150
    assert min(steps, 6) <= checkpoints
    assert checkpoints <= 15 or run.checkpoint_interval(steps) == 5000
    assert ExecutionConfig(log_every=7, checkpoint_every=9).log_interval(steps) == 7
    assert ExecutionConfig(log_every=7, checkpoint_every=9).checkpoint_interval(steps) == 9


def test_tensorboard_can_be_left_out_by_the_old_setting():
    assert [each.name for each in ExecutionConfig().active_loggers()] == ["csv", "tensorboard"]
    assert [each.name for each in ExecutionConfig(tensorboard=False).active_loggers()] == ["csv"]


def test_where_images_are_and_how_they_are_named_and_listed_is_not_part_of_the_result():
    config = RECIPES["debug"]()
    other = override(config, ["data.name=shapes", "data.by_suffix=true", "run.keep=1", "data.uri=elsewhere"])
    assert differences(config.result_half(), other.result_half()) == []
