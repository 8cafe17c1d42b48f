"""Options of a request, checked: every problem is one sentence that names the field."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from models.errors import field_path, short_repr
from service.errors import InvalidRequest, UnsupportedOption

Body = TypeVar("Body", bound=BaseModel)


def validate_options(schema: type[Body], options: dict[str, Any]) -> Body:
    """Options as a model.

    Raises:
        UnsupportedOption: a name, or a value of a choice, that is not among those there are.
        InvalidRequest: anything else that is wrong, in one sentence that names the field.
    """
    try:
        return schema.model_validate(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = field_path(first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        if first["type"] == "extra_forbidden":
            if len(first["loc"]) > 1:
                raise UnsupportedOption(f"{where} is unknown", where) from error
            known = ", ".join(field.alias or name for name, field in schema.model_fields.items())
            raise UnsupportedOption(f"option {where!r} is unknown; the options are {known}", where) from error
        if first["type"] == "literal_error":
            raise UnsupportedOption(f"{where} is {short_repr(first['input'])}: {message}", where) from error
        if first["type"] == "missing":
            raise InvalidRequest(f"{where} is missing", where) from error
        given = "" if first["type"] == "value_error" else f" is {short_repr(first['input'])}"
        raise InvalidRequest(f"{where or 'the request'}{given}: {message}", where or None) from error
