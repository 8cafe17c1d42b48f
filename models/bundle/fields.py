"""The types of a manifest's fields: what a bundle may come from anybody with."""

from typing import Annotated

from pydantic import ConfigDict, Field

from models.config import MAX_WIDTH, Frozen

ID = r"[a-z0-9][a-z0-9._-]*"
"""The pattern of a bundle's id."""
MAX_FILES = 100

Id = Annotated[str, Field(pattern=f"^{ID}$", max_length=100)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=200)]
"""Of a file in the bundle's own folder: no separators, no parent folder, nothing hidden."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
"""Of a pooling or a precision."""
Graph = Annotated[str, Field(pattern=r"^(encoder|context|predictor)\.onnx$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Width = Annotated[int, Field(ge=1, le=16 * MAX_WIDTH)]
"""Of a pooling."""
Positive = Annotated[float, Field(gt=0)]
Scale = Annotated[float, Field(gt=0, le=1)]
"""Share of the grid."""
Ratio = Annotated[float, Field(ge=0.001, le=1000)]


class Record(Frozen):
    """A part of a manifest: every number is finite."""

    model_config = ConfigDict(allow_inf_nan=False)
