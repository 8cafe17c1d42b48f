"""Which columns of a Parquet file hold images and classes: by the metadata of Hugging Face's `datasets`, else by type and name."""

import json
from typing import Any, NamedTuple

import pyarrow as pa

from models.errors import DataError

IMAGE_NAMES = (
    "image",
    "img",
    "jpg",
    "jpeg",
    "png",
    "webp",
    "photo",
    "image_bytes",
    "bytes",
    "content",
    "data",
)
LABEL_NAMES = ("label", "labels", "class", "class_label", "target", "fine_label", "category", "cls", "y")
MAX_METADATA_BYTES = 2**24


class Columns(NamedTuple):
    """The path of the column of bytes, the column of labels ("" for none), and the names of its classes where they are known."""

    image: str
    label: str
    names: tuple[str, ...]


def find_columns(schema: pa.Schema, place: str) -> Columns:
    """The columns of images and labels.

    Raises:
        DataError: no column can hold images.
    """
    features = _features(schema)
    images = [
        field.name if _is_binary(field.type) else f"{field.name}.bytes" for field in schema if _holds_bytes(field.type)
    ]
    if not images:
        columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise DataError(
            f"{place} has no column of images, which are bytes or a struct with a field 'bytes'; it has {columns[:500]}"
        )
    marked = [name for name in images if _type_of(features, name) == "Image"]
    image = min(marked or images, key=lambda name: _rank(name.removesuffix(".bytes"), IMAGE_NAMES))
    named = [field.name for field in schema if _type_of(features, field.name) == "ClassLabel"]
    plain = [field.name for field in schema if field.name.lower() in LABEL_NAMES and _is_label(field.type)]
    label = min(named or plain, key=lambda name: _rank(name, LABEL_NAMES), default="")
    names = features.get(label, {}).get("names") if label in named else None
    known = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return Columns(image, label, tuple(names) if known and names else ())


def _features(schema: pa.Schema) -> dict[str, Any]:
    """The features that `datasets` wrote, by column."""
    raw = (schema.metadata or {}).get(b"huggingface", b"")
    try:
        features = json.loads(raw)["info"]["features"] if 0 < len(raw) <= MAX_METADATA_BYTES else {}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return (
        {name: feature for name, feature in features.items() if isinstance(feature, dict)}
        if isinstance(features, dict)
        else {}
    )


def _type_of(features: dict[str, Any], column: str) -> object:
    return features.get(column.removesuffix(".bytes"), {}).get("_type")


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _holds_bytes(kind: pa.DataType) -> bool:
    if _is_binary(kind):
        return True
    return bool(pa.types.is_struct(kind)) and any(
        field.name == "bytes" and _is_binary(field.type) for field in (kind.field(i) for i in range(kind.num_fields))
    )


def _is_label(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _rank(name: str, names: tuple[str, ...]) -> int:
    return names.index(name.lower()) if name.lower() in names else len(names)
