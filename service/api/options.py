"""Options of a request, checked: every problem is one sentence that names the field."""

import functools
from collections.abc import Collection
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from models.errors import field_path, short_repr
from service.api.json_text import MAX_TEXT
from service.errors import InvalidRequest, UnsupportedOption

Body = TypeVar("Body", bound=BaseModel)

MAX_ECHO = 200
"""Characters of a client's text in an error."""


def validate_options(schema: type[Body], options: dict[str, Any]) -> Body:
    """Options as a model. Names are checked before any value is.

    Raises:
        UnsupportedOption: a name, or a value of a choice, that is not among those there are.
        InvalidRequest: anything else that is wrong, in one sentence that names the field.
    """
    check_names(options, option_names(schema))
    try:
        return schema.model_validate(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = field_path(first["loc"])[:MAX_ECHO]
        message = first["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        given = describe(first["input"])
        if first["type"] == "literal_error":
            raise UnsupportedOption(f"{where} is {given}: {message}", where) from error
        if first["type"] == "missing":
            raise InvalidRequest(f"{where} is missing", where) from error
        given = "" if first["type"] == "value_error" else f" is {given}"
        raise InvalidRequest(f"{where or 'the request'}{given}: {message}", where or None) from error


@functools.cache
def option_names(schema: type[BaseModel]) -> tuple[str, ...]:
    """The names that a schema's fields have in a request."""
    return tuple(field.alias or name for name, field in schema.model_fields.items())


def check_names(options: dict[str, Any], known: Collection[str], where: str = "") -> None:
    """Fields of an object at `where` in the request.

    Raises:
        UnsupportedOption: one is not among the known ones.
        InvalidRequest: one has a text that is too long to be an option.
    """
    for name, value in options.items():
        path = f"{where}.{name}" if where else name
        if name not in known:
            unknown = short_repr(path, MAX_ECHO) if where else f"option {short_repr(name, MAX_ECHO)}"
            kind = "fields" if where else "options"
            raise UnsupportedOption(f"{unknown} is unknown; the {kind} are {', '.join(known)}", path[:MAX_ECHO])
        if isinstance(value, memoryview):
            raise InvalidRequest(f"{path} has {len(value):,} characters, at most {MAX_TEXT}", path)


def describe(value: object) -> str:
    """A value in an error. What may be large is not written out."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value):,}"
    if isinstance(value, str | bytes | memoryview):
        return short_repr(bytes(value[:MAX_ECHO]) if isinstance(value, memoryview) else value[:MAX_ECHO])
    return short_repr(value)
