"""The table of operations. Registry, telemetry and docs read it."""

from service.operations.base import Operation
from service.operations.embed import Embed
from service.operations.predict import Predict

OPERATIONS: dict[str, type[Operation]] = {"embed": Embed, "predict": Predict}
"""By name, as metrics and `/v1/models` have it."""
