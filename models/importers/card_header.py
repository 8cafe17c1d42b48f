"""The header of a model card on the hub: YAML between two lines of dashes, from whoever wrote the card."""

import re
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from models.io import read_start

MAX_HEADER_BYTES = 128_000
_HEADER = re.compile(r"\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", re.DOTALL)


class _PlainLoader(yaml.BaseLoader):  # type: ignore[misc]
    """Texts, lists and mappings. An alias is an error: a few of them stand for a document of any size."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias, else as before."""
        if self.check_event(yaml.AliasEvent):
            raise ValueError("aliases are not read")
        return super().compose_node(parent, index)


def read_header(card: Path) -> dict[str, Any]:
    """The fields of the header, as texts, lists and mappings; none where there is no header.

    Raises:
        OSError: the card cannot be read.
        ValueError: the header is not YAML, is longer than `MAX_HEADER_BYTES`, nested too deeply, or has aliases.
    """
    start = read_start(card, MAX_HEADER_BYTES).decode(errors="replace")
    found = _HEADER.match(start)
    if found is None:
        return {}
    try:
        header = yaml.load(found[1], _PlainLoader)  # noqa: S506 -- builds nothing but texts, lists and mappings
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"the header of {card} cannot be read: {type(error).__name__}") from error
    return header if isinstance(header, dict) else {}
