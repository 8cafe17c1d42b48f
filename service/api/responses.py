"""JSON responses and their timing header."""

from typing import Any

import numpy as np
import orjson
from fastapi import Response

from service.operations.base import Timings

SERVER_TIMING = ", ".join(f"{name};dur=%.2f" for name in Timings._fields)


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON with numpy arrays written as they are, and NaN as null."""
    body = orjson.dumps(content, _contiguous, orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, media_type="application/json")


def _contiguous(value: object) -> np.ndarray:
    """A view as an array of its own; orjson asks for that and knows nothing else that it could be given."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} cannot be JSON")
    return np.ascontiguousarray(value)


def server_timing(timings: list[Timings]) -> dict[str, str]:
    """The longest of each stage, as a Server-Timing header in milliseconds."""
    longest = timings[0] if len(timings) == 1 else [max(values) for values in zip(*timings, strict=True)]
    return {"server-timing": SERVER_TIMING % tuple(1000 * value for value in longest)}
