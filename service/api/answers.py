"""Responses, and their place in the API's description."""

from typing import Any

import numpy as np
import orjson
from fastapi import Response
from pydantic import BaseModel

from service.engine import Clocks
from service.errors import ServiceError
from service.schemas import ErrorAnswer


def json_answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON with numpy arrays written as they are, and NaN as null."""
    body = orjson.dumps(content, contiguous, orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, media_type="application/json")


def contiguous(value: object) -> np.ndarray:
    """A view as an array of its own; orjson asks for that and knows nothing else that it could be given."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    return np.ascontiguousarray(value)


def timing(clocks: list[Clocks]) -> dict[str, str]:
    """The longest of each clock, as a Server-Timing header in milliseconds."""
    names = Clocks._fields
    longest = [max(values) for values in zip(*clocks, strict=True)]
    return {
        "server-timing": ", ".join(f"{name};dur={1000 * value:.2f}" for name, value in zip(names, longest, strict=True))
    }


def describe(
    json_body: type[BaseModel] | None, *errors: type[ServiceError], query: type[BaseModel] | None = None
) -> dict[str, Any]:
    """What a route's decorator needs so that `/docs` tells of its bodies and errors."""
    by_status: dict[int, list[str]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error.code)
    responses = {
        status: {"model": ErrorAnswer, "description": ", ".join(f"`{code}`" for code in codes)}
        for status, codes in sorted(by_status.items())
    }
    described: dict[str, Any] = {"responses": responses}
    if json_body is not None:
        schema = json_body.model_json_schema(by_alias=True)
        schema = inlined(schema, schema.pop("$defs", {}))
        form = {
            "type": "object",
            "properties": {
                "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
                "request": {"type": "string", "description": "The options as JSON."},
            },
            "required": ["file"],
        }
        described["openapi_extra"] = {
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {"schema": form},
                    "application/json": {"schema": schema},
                    "image/*": {"schema": {"type": "string", "format": "binary"}},
                },
            },
            "parameters": _query(query),
        }
    return described


def inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema with its references replaced by what they refer to (none of ours refers to itself)."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return {key: inlined(value, definitions) for key, value in schema.items()}
    return [inlined(item, definitions) for item in schema] if isinstance(schema, list) else schema


def _query(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    """The plain options, which may also stand in the query."""
    if model is None:
        return []
    properties = model.model_json_schema(by_alias=True)["properties"]
    plain = {name: schema for name, schema in properties.items() if "$ref" not in str(schema)}
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in plain.items()]
