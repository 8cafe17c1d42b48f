"""The table of objectives."""

from training.families import MemberSettings
from training.objectives.base import Objective, ObjectiveType
from training.objectives.latent import Latent

OBJECTIVES: dict[str, ObjectiveType] = {
    "latent": Latent,
}


def make_objective(config: MemberSettings) -> Objective:
    """The objective that the settings belong to."""
    return OBJECTIVES[config.name](config)
