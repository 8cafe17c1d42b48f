"""The API's description of itself: what FastAPI cannot see of bodies that come in three forms."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from service.errors import ServiceError
from service.schemas import ErrorResponse

BINARY = {"type": "string", "format": "binary"}


def document_route(
    json_body: type[BaseModel] | None,
    *errors: type[ServiceError],
    query: type[BaseModel] | None = None,
    media: Iterable[str] = (),
    max_files: int | None = None,
) -> dict[str, Any]:
    """What a route's decorator needs so that `/openapi.json` has its bodies, media types and errors."""
    by_status: dict[int, list[str]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error.code)
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorResponse, "description": ", ".join(f"`{code}`" for code in codes)}
        for status, codes in sorted(by_status.items())
    }
    if content := {name: {"schema": BINARY} for name in media}:
        responses[200] = {"content": content}
    described: dict[str, Any] = {"responses": responses}
    if json_body is not None:
        options: dict[str, Any] = _schema(query) if query else {"type": "object", "properties": {}}
        described["openapi_extra"] = {
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {
                        "schema": _form(options, max_files),
                        "encoding": {"request": {"contentType": "application/json"}},
                    },
                    "application/json": {"schema": _schema(json_body)},
                    "image/*": {"schema": BINARY},
                },
            },
            "parameters": [_parameter(name, schema) for name, schema in options["properties"].items()],
        }
    return described


def _form(options: dict[str, Any], max_files: int | None) -> dict[str, Any]:
    """Images as files, the options as JSON: each of them may stand in the query instead."""
    files: dict[str, Any] = {"type": "array", "items": BINARY, "minItems": 1}
    if max_files is not None:
        files["maxItems"] = max_files
    part = {key: value for key, value in options.items() if key != "required"}
    return {"type": "object", "properties": {"file": files, "request": part}, "required": ["file"]}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema without references."""
    schema = model.model_json_schema(by_alias=True)
    inlined: dict[str, Any] = _inlined(schema, schema.pop("$defs", {}))
    return inlined


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema with its references replaced by what they refer to (none of ours refers to itself)."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return {key: _inlined(value, definitions) for key, value in schema.items()}
    return [_inlined(item, definitions) for item in schema] if isinstance(schema, list) else schema


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """An option that may also stand in the query; objects stand there as JSON. A query cannot say null."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        schema = {key: value for key, value in schema.items() if key not in ("anyOf", "default")} | choices[0]
    items = schema.get("items", {})
    of_objects = "object" in (schema.get("type"), items.get("type"))
    place = {"content": {"application/json": {"schema": schema}}} if of_objects else {"schema": schema}
    return {"name": name, "in": "query", "required": False, **place}
