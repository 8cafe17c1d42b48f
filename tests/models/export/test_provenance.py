"""What a bundle says of a checkpoint's training."""

import pytest

from models.checkpoint.record import Images, Origin, TrainingRecord, images_of_all_runs
from models.export.provenance import distance_of, masking_of, provenance_of, with_dataset_name


def record(**more):
    images = Images(count=9, fingerprint="f", description="9 images of photos")
    return TrainingRecord(
        recipe="photos", trained_on="9 images of photos", images=images, step=4, total_steps=4, total_images=32, **more
    )


def test_steps_and_images_are_totals_over_all_runs():
    origin = Origin(sha256="s", trained_on="9 images of photos", total_steps=6, total_images=48, runs=2)
    second = record(init=origin).model_copy(update={"total_steps": 10, "total_images": 80})
    source = provenance_of(second, "sha")

    assert (source.checkpoint_sha256, source.recipe) == ("sha", "photos")
    assert (source.steps, source.images_seen, source.runs) == (10, 80, 3)
    assert provenance_of(record(), "sha").runs == 1


def test_the_number_of_runs_is_unknown_where_the_first_runs_record_does_not_state_it():
    assert provenance_of(record(init=Origin(sha256="s", trained_on="x")), "sha").runs is None
    assert provenance_of(TrainingRecord(), "sha").runs is None


def test_a_dataset_name_replaces_the_images_of_the_last_run_and_keeps_the_others():
    assert with_dataset_name(record(), None).trained_on == "9 images of photos"
    assert with_dataset_name(record(), "my garden").trained_on == "my garden"
    assert with_dataset_name(TrainingRecord(), "my garden").trained_on == "my garden"


@pytest.mark.parametrize(
    ("own", "before", "named"),
    [
        ("a", "a", "my garden, in several runs"),
        ("a", "a, in several runs", "my garden, in several runs"),
        ("a", "124 images of a folder", "my garden, starting from a network trained on 124 images of a folder"),
        (
            "a",
            "a, in several runs, starting from a network trained on pa",
            "my garden, starting from a network trained on my garden, in several runs, starting from a network trained on pa",
        ),
        (
            "124 images of a folder named 'a'",
            "1,124 images of a folder named 'a'",
            "my garden, starting from a network trained on 1,124 images of a folder named 'a'",
        ),
    ],
)
def test_a_dataset_name_replaces_whole_descriptions_of_earlier_runs(own, before, named):
    origin, images = Origin(sha256="s", trained_on=before), Images(count=9, fingerprint="f", description=own)
    training = TrainingRecord(trained_on=images_of_all_runs(own, origin), images=images, init=origin)
    assert with_dataset_name(training, "my garden").trained_on == named


def test_masks_and_distance_are_those_of_the_settings_and_the_papers_without():
    settings = {
        "masking": {"name": "multiblock", "targets": 2, "target_scale": [0.1, 0.2], "context_budget": 0.3},
        "objective": {"distance": "l2", "name": "latent"},
        "optim": {"lr": 1},
    }
    masking, distance = masking_of(record(settings=settings)), distance_of(record(settings=settings))

    assert (masking.targets, masking.target_scale, masking.target_aspect) == (2, (0.1, 0.2), (0.75, 1.5))
    assert masking.model_dump()["context_budget"] == 0.3
    assert (distance.name, distance.beta) == ("l2", 1.0)
    assert (masking_of(record()).targets, distance_of(record()).name) == (4, "smooth_l1")
