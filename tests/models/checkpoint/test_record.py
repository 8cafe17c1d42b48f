import pytest

from models.checkpoint.record import CheckpointRecord, Images, Origin, images_of_all_runs, upgrade
from tests.golden.make import tiny_config

OLD_RUN = {
    "recipe": "debug",
    "trained_on": "512 synthetic pictures",
    "pictures": {"count": 512, "fingerprint": "512 synthetic pictures"},
    "init": None,
    "step": 10,
    "steps": 60,
    "settings": {"optim": {"batch_size": 32}},
}


def upgraded(training, version=2):
    document = {"format": version, "model": tiny_config().model_dump(mode="json"), "absent": [], "training": training}
    return CheckpointRecord.model_validate(upgrade(document)).training


def test_a_run_of_format_2_is_read_in_todays_words():
    training = upgraded(OLD_RUN)

    assert training.trained_on == "512 synthetic images"
    assert training.images == Images(count=512, fingerprint="512 synthetic images", description="512 synthetic images")
    assert (training.total_steps, training.total_images) == (10, 320)
    assert training.licence == "unspecified"


def test_a_run_of_format_2_that_started_from_weights_names_both_and_knows_no_total():
    init = {"sha256": "ab", "trained_on": "birds", "licence": "MIT"}
    training = upgraded({**OLD_RUN, "init": init})

    assert training.trained_on == "512 synthetic images, starting from a network trained on birds"
    assert training.licence == "MIT"
    assert (training.total_steps, training.total_images) == (None, None)


def test_imported_weights_of_format_1_keep_what_they_say():
    training = upgraded({"recipe": "imported from x", "trained_on": "ImageNet-1k", "licence": "MIT", "settings": {}}, 1)

    assert (training.trained_on, training.licence, training.images, training.step) == ("ImageNet-1k", "MIT", None, None)


@pytest.mark.parametrize("training", [{"steps": "many"}, {"owner": "me"}])
def test_a_record_with_a_wrong_field_is_an_error_that_names_it(tmp_path, training):
    import json

    from models.checkpoint.store import read_checkpoint
    from models.errors import CheckpointError
    from tests.golden.make import write_tiny_checkpoint

    step = write_tiny_checkpoint(tmp_path / "step")
    document = json.loads((step / "config.json").read_text())
    document["training"] |= training
    (step / "config.json").write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=rf"config\.json: training\.{next(iter(training))}: "):
        read_checkpoint(step)


def test_the_same_images_twice_are_named_once():
    birds = Origin(sha256="ab", trained_on="birds")
    again = Origin(sha256="cd", trained_on="birds, in several runs")

    assert images_of_all_runs("birds", None) == "birds"
    assert images_of_all_runs("birds", birds) == images_of_all_runs("birds", again) == "birds, in several runs"
    assert images_of_all_runs("owls", birds) == "owls, starting from a network trained on birds"


def test_a_batch_size_that_is_no_number_gives_no_total():
    from models.checkpoint.record import upgrade

    training = {"step": 10**15, "settings": {"optim": {"batch_size": "x"}}}
    assert upgrade({"format": 2, "training": training})["training"]["total_images"] is None
