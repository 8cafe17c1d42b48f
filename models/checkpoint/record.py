"""What a checkpoint's `config.json` says of its network and its training, as typed records with a version.

Formats 1 and 2 are upgraded on reading: the images' field was named `pictures`, as in texts and in the fingerprint of
synthetic sources; `trained_on` named the last run's images alone; no totals were kept.
"""

from typing import Any, Literal

from pydantic import Field

from models.config import Frozen, ModelConfig

FORMAT: Literal[3] = 3
READABLE = (1, 2, 3)


IN_SEVERAL_RUNS, STARTING_FROM = ", in several runs", ", starting from a network trained on "
"""What joins the images of several runs; see `images_of_all_runs`."""


class Images(Frozen):
    """The images of a run. `description` fits after "trained on"; `fingerprint` tells one order of images from another."""

    count: int
    fingerprint: str
    description: str


class Origin(Frozen):
    """The checkpoint that a run took its first weights from. Totals and `runs` are None where its record does not say."""

    sha256: str
    trained_on: str
    licence: str = "unspecified"
    total_steps: int | None = None
    total_images: int | None = None
    runs: int | None = None


class TrainingRecord(Frozen):
    """How the weights came about.

    `trained_on` fits after "trained on" and names all images that had a part in the weights, `images` those of the last run.
    `step` of `steps` is where the last run stands. `total_steps` and `total_images` (images seen, counted in each epoch)
    include the runs before it and are None where these are unknown. `settings` is the half of the run's settings that
    changes its result, as plain JSON values.
    """

    recipe: str = "none"
    trained_on: str = "unknown images"
    licence: str = "unspecified"
    images: Images | None = None
    init: Origin | None = None
    step: int | None = None
    steps: int | None = None
    total_steps: int | None = None
    total_images: int | None = None
    settings: dict[str, Any] = Field(default_factory=dict)

    @property
    def runs(self) -> int | None:
        """How many runs made the weights, each started from those of the run before; None where unknown."""
        if self.init is None:
            return 1
        return None if self.init.runs is None else self.init.runs + 1


class CheckpointRecord(Frozen):
    """`config.json` of a step."""

    format: Literal[3] = FORMAT
    model: ModelConfig
    absent: tuple[str, ...] = ()
    training: TrainingRecord = TrainingRecord()


def images_of_all_runs(images: str, origin: Origin | None) -> str:
    """The images of a run and of those before it, as a phrase that fits after "trained on"."""
    same = f"{images}{IN_SEVERAL_RUNS}"
    if origin is None:
        return images
    if origin.trained_on in (images, same):
        return same
    return f"{images}{STARTING_FROM}{origin.trained_on}"


def upgrade(document: dict[str, Any]) -> dict[str, Any]:
    """A record of format 1 or 2 as one of format 3."""
    training = {name: value for name, value in document["training"].items() if name != "pictures"}
    before = training.get("init")
    origin = Origin(**{**before, "trained_on": _renamed(before["trained_on"])}) if before else None
    own = _renamed(training.get("trained_on", "unknown images"))
    images = document["training"].get("images") or document["training"].get("pictures")
    if images:
        images = {"count": images["count"], "fingerprint": _renamed(images["fingerprint"]), "description": own}
    batch_size = training.get("settings", {}).get("optim", {}).get("batch_size")
    step = training.get("step")
    known = step if isinstance(step, int) and origin is None else None
    upgraded = {
        **training,
        "trained_on": images_of_all_runs(own, origin),
        "licence": training.get("licence") or (origin.licence if origin else "unspecified"),
        "images": images,
        "init": origin,
        "total_steps": known,
        "total_images": known * batch_size if known is not None and isinstance(batch_size, int) else None,
    }
    return {**document, "format": FORMAT, "training": upgraded}


def _renamed(text: str) -> str:
    return text.replace("pictures", "images")
