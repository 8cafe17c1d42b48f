"""`jsonl:FILE`: an object a line, with the path, URL or base64 of an image, and its class."""

import base64
import binascii
from typing import Any

import orjson

from models.images.decode import HEAD_BYTES, image_format
from models.images.sources.base import BY_BYTES, ListOptions
from models.images.sources.encoded import EncodedImages, check_image_bytes
from models.images.sources.labels import label_value
from models.images.sources.references import Reference, open_references
from models.progress import Progress, no_progress

PLACE_FIELDS = ("image", "path", "uri", "url", "file_name", "image_path", "filename")
BYTES_FIELDS = ("image_base64", "base64", "b64", "b64_json", "bytes", "image_bytes")
LABEL_FIELDS = ("label", "class", "category", "label_name", "class_name")
"""The first of each that is there."""
HEAD_CHARACTERS = 24
"""Of base64: 18 bytes."""


def open_jsonl(argument: str, _: ListOptions = BY_BYTES, progress: Progress = no_progress) -> EncodedImages:
    """The images of a JSONL file, in its order. Paths are relative to its folder; `image` may hold base64 too.

    Raises:
        DataError: it cannot be read, a line is not an object, or it names no images.
    """
    return open_references(argument, parse_line, progress, bytes_of)


def parse_line(line: bytes, _: int) -> Reference | str:
    """See `Parse`."""
    if not line.strip():
        return "empty lines"
    document = _object(line)
    place, encoded = _image_of(document)
    if place is None and encoded is None:
        return "lines without an image"
    name = document.get("id")
    label = next((document[field] for field in LABEL_FIELDS if field in document), None)
    return Reference(place, str(name) if isinstance(name, str | int) else None, label_value(label))


def bytes_of(line: bytes) -> bytes:
    """See `BytesOf`."""
    encoded = _image_of(_object(line))[1]
    if encoded is None:
        raise ValueError("its line has no image any more")
    check_image_bytes(len(encoded) // 4 * 3, "the image of a line")
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(f"its base64 is damaged: {error}") from error


def _object(line: bytes) -> dict[str, Any]:
    document = orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
    if not isinstance(document, dict):
        raise ValueError(f"expected an object, not {type(document).__name__}")
    return document


def _image_of(document: dict[str, Any], nested: bool = False) -> tuple[str | None, str | None]:
    """The place or the base64 of the image of a line; it may be in an object such as `{"bytes": ..., "path": ...}`."""
    for field in (*BYTES_FIELDS, *PLACE_FIELDS):
        value = document.get(field)
        if isinstance(value, dict) and not nested and any(found := _image_of(value, nested=True)):
            return found
        if isinstance(value, str) and value:
            if value.startswith("data:"):
                return None, value.partition(",")[2]
            return (None, value) if field in BYTES_FIELDS or _is_base64(value) else (value, None)
    return None, None


def _is_base64(text: str) -> bool:
    """Whether a text begins like an image in base64: `/9j/4AAQ...` is a JPEG, not a path."""
    if len(text) < HEAD_CHARACTERS * 2:
        return False
    try:
        return image_format(base64.b64decode(text[:HEAD_CHARACTERS], validate=True)[:HEAD_BYTES]) is not None
    except (binascii.Error, ValueError):
        return False
