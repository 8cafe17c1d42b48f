"""Settings of a family's members: looked up in the family's table by their field `name`.

A member is a class in one file of its family, with its own settings class, and one line in the family's table. Validation,
serialisation, JSON schema, `--settings` and overrides follow from the table.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from models.config import Frozen


class MemberSettings(Frozen):
    """Settings of a member. Each member narrows `name` to its own and gives it as the default."""

    name: str


@runtime_checkable
class Member(Protocol):
    """A line of a family's table."""

    settings: type[Any]


class FamilyOf:
    """Annotates a settings field: `Annotated[MemberSettings, FamilyOf(TABLE, default="name")]`.

    Takes settings of a member, a mapping with a `name` (the default's, where it has none), or a bare name.
    """

    def __init__(self, table: Mapping[str, Member], default: str) -> None:
        self.table, self.default = table, default

    def validate(self, value: Any) -> MemberSettings:
        """Settings of the class that the table has for the name; errors carry the path of the member's field."""
        values = {"name": value} if isinstance(value, str) else value
        if not isinstance(values, Mapping | MemberSettings):
            raise ValueError("expected the settings of a member with its name")
        name = values.name if isinstance(values, MemberSettings) else values.get("name", self.default)
        if str(name) not in self.table:
            raise ValueError(f"unknown name {name!r}; the names are {', '.join(self.table)}")
        return self.table[str(name)].settings.model_validate(values)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda settings, info: settings.model_dump(mode=info.mode), info_arg=True
            ),
        )

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"oneOf": [handler(member.settings.__pydantic_core_schema__) for member in self.table.values()]}
