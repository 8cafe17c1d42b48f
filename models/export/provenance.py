"""What a bundle says of the training of its checkpoint, as records of the manifest."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from models.bundle.manifest import Distance, Masking, Provenance
from models.checkpoint.record import IN_SEVERAL_RUNS, STARTING_FROM, TrainingRecord, images_of_all_runs
from models.errors import CheckpointError, validation_sentence


class _Objective(BaseModel):
    distance: Literal["smooth_l1", "l2"] = "smooth_l1"
    beta: Annotated[float, Field(gt=0)] = 1.0


class _Settings(BaseModel):
    """The part of a run's settings that a bundle needs. Other settings are ignored; defaults are the paper's."""

    masking: Masking = Masking()
    objective: _Objective = _Objective()


def _settings_of(training: TrainingRecord) -> _Settings:
    try:
        return _Settings.model_validate(training.settings)
    except ValidationError as error:
        raise CheckpointError(f"the checkpoint's settings cannot be used: {validation_sentence(error)}") from error


def masking_of(training: TrainingRecord) -> Masking:
    """The masks that a checkpoint was trained with."""
    return _settings_of(training).masking


def distance_of(training: TrainingRecord) -> Distance:
    """The distance that a checkpoint was trained with."""
    objective = _settings_of(training).objective
    return Distance(name=objective.distance, beta=objective.beta)


def with_dataset_name(training: TrainingRecord, name: str | None) -> TrainingRecord:
    """The record with another name for the images of the last run, also of earlier runs where they had the same."""
    if name is None:
        return training
    origin = training.init
    if origin and training.images:
        own = training.images.description
        names = {own: name, f"{own}{IN_SEVERAL_RUNS}": f"{name}{IN_SEVERAL_RUNS}"}
        before = (names.get(each, each) for each in origin.trained_on.split(STARTING_FROM))
        origin = origin.model_copy(update={"trained_on": STARTING_FROM.join(before)})
    return training.model_copy(update={"trained_on": images_of_all_runs(name, origin)})


def provenance_of(training: TrainingRecord, checkpoint_sha256: str) -> Provenance:
    """Where the weights come from; steps and images are totals over all runs."""
    return Provenance(
        checkpoint_sha256=checkpoint_sha256,
        recipe=training.recipe,
        trained_on=training.trained_on,
        steps=training.total_steps,
        images_seen=training.total_images,
        runs=training.runs if training.total_steps is not None else None,
    )
