"""Types of settings that several families share."""

from typing import Annotated

from pydantic import AfterValidator, Field


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"expected a range with the smaller number first, not {list(value)}")
    return value


Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Ratio = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Shares = Annotated[tuple[Share, Share], AfterValidator(_ascending)]
Ratios = Annotated[tuple[Ratio, Ratio], AfterValidator(_ascending)]
