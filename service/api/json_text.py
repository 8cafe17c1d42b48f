"""JSON from clients: bounded before it is read. Its long strings, which are images and masks, are set aside and not copied."""

from typing import Any

import orjson

from service.errors import InvalidRequest

MAX_TEXT = 512
"""Bytes of a string that is read as one. Longer strings stay what they are in the document: a `memoryview`, escapes and all."""

MAX_JSON_BYTES = 1_000_000
"""Bytes of a document beyond its long strings."""

MAX_JSON_ITEMS = 131_072
"""Values in a document, and quotation marks: twice as many as 64 regions with every patch of a grid of 32 x 32."""

MAX_JSON_DEPTH = 8
"""Lists and objects within each other: the coordinates of a target are in the fourth."""

_MARK = "\0"
"""What the place of a long string begins with. In JSON this character can only be an escape, and we take none."""

_ESCAPED_MARK = b"\\u0000"


def read_object(text: bytes, name: str) -> dict[str, Any]:
    """A JSON object; `name` is what errors call it.

    Raises:
        InvalidRequest
    """
    value = read_json(text, name)
    if not isinstance(value, dict):
        raise InvalidRequest(f"{name} must be a JSON object, not {type(value).__name__}")
    return value


def read_json(text: bytes, name: str) -> Any:
    """A value of bounded size and depth, with a `memoryview` of `text` for each string of more than `MAX_TEXT` bytes.

    Raises:
        InvalidRequest: not JSON, or beyond a bound.
    """
    short, texts = _set_aside(text, name)
    if len(short) > MAX_JSON_BYTES:
        raise InvalidRequest(f"{name} has {len(short):,} bytes of JSON beyond its images, at most {MAX_JSON_BYTES:,}")
    if not short.strip():
        raise InvalidRequest(f"{name} is empty; expected JSON")
    items = short.count(b",") + short.count(b"[") + short.count(b"{")
    if items > MAX_JSON_ITEMS:
        raise InvalidRequest(f"{name} has about {items:,} JSON values, at most {MAX_JSON_ITEMS:,}")
    try:
        value = orjson.loads(short)
    except orjson.JSONDecodeError as error:
        reason = error.msg if texts else str(error)  # without the long strings, its place is another
        raise InvalidRequest(f"{name} is not JSON: {reason}") from error
    return _restored(value, texts, MAX_JSON_DEPTH, name)


def _set_aside(text: bytes, name: str) -> tuple[bytes, list[memoryview]]:
    """The document with marks in the place of its long strings, and those.

    Raises:
        InvalidRequest: too many strings, or one that could be taken for a mark.
    """
    view = memoryview(text)
    pieces: list[bytes | memoryview] = []
    texts: list[memoryview] = []
    done = quotes = 0
    start = text.find(b'"')
    while start >= 0:
        begun, end = start + 1, text.find(b'"', start + 1)
        while end >= 0 and quotes <= MAX_JSON_ITEMS and _is_escaped(text, begun, end):
            begun, end = end + 1, text.find(b'"', end + 1)
            quotes += 1
        quotes += 2
        if quotes > MAX_JSON_ITEMS:
            raise InvalidRequest(f"{name} has more than {MAX_JSON_ITEMS:,} quotation marks")
        if end < 0:
            break  # the reader says what is wrong
        if end - start > MAX_TEXT:
            pieces += (view[done:start], b'"%s%d"' % (_ESCAPED_MARK, len(texts)))
            texts.append(view[start + 1 : end])
            done = end + 1
        start = text.find(b'"', end + 1)
    short = b"".join([*pieces, view[done:]]) if texts else text
    if short.count(_ESCAPED_MARK, 0, MAX_JSON_BYTES) > len(texts):
        raise InvalidRequest(f"{name} has a string with the character U+0000")
    return short, texts


def _is_escaped(text: bytes, begun: int, end: int) -> bool:
    """Whether the quotation mark at `end` belongs to the string: an odd number of backslashes is before it, after `begun`."""
    if text[end - 1] != ord("\\"):
        return False
    before = text[begun:end]
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1


def _restored(value: Any, texts: list[memoryview], depth: int, name: str) -> Any:
    """The value with its long strings in their places.

    Raises:
        InvalidRequest: nested too deep, or a long string is a name.
    """
    if isinstance(value, str):
        return texts[int(value[1:])] if value[:1] == _MARK else value
    if not isinstance(value, dict | list):
        return value
    if not depth:
        raise InvalidRequest(f"{name} is nested too deep; at most {MAX_JSON_DEPTH} lists and objects within each other")
    if isinstance(value, list):
        return [item if isinstance(item, int | float) else _restored(item, texts, depth - 1, name) for item in value]
    if any(key[:1] == _MARK for key in value):
        raise InvalidRequest(f"{name} has a field whose name is longer than {MAX_TEXT} bytes")
    return {key: _restored(item, texts, depth - 1, name) for key, item in value.items()}
