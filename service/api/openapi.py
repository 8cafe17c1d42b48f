"""The API's description of itself: what FastAPI cannot see of bodies that come in three forms."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from service.errors import ServiceError
from service.schemas import ErrorResponse


def document_route(
    json_body: type[BaseModel] | None,
    *errors: type[ServiceError],
    query: type[BaseModel] | None = None,
    media: Iterable[str] = (),
) -> dict[str, Any]:
    """What a route's decorator needs so that `/openapi.json` has its bodies, media types and errors."""
    by_status: dict[int, list[str]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error.code)
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorResponse, "description": ", ".join(f"`{code}`" for code in codes)}
        for status, codes in sorted(by_status.items())
    }
    if content := {name: {"schema": {"type": "string", "format": "binary"}} for name in media}:
        responses[200] = {"content": content}
    described: dict[str, Any] = {"responses": responses}
    if json_body is not None:
        schema = json_body.model_json_schema(by_alias=True)
        schema = _inlined(schema, schema.pop("$defs", {}))
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


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema with its references replaced by what they refer to (none of ours refers to itself)."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return {key: _inlined(value, definitions) for key, value in schema.items()}
    return [_inlined(item, definitions) for item in schema] if isinstance(schema, list) else schema


def _query(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    """The options, which may also stand in the query; those that are objects as JSON text."""
    if model is None:
        return []
    properties = model.model_json_schema(by_alias=True)["properties"]
    text = {"type": "string", "contentMediaType": "application/json"}
    return [
        {"name": name, "in": "query", "required": False, "schema": text if "$ref" in str(schema) else schema}
        for name, schema in properties.items()
    ]
