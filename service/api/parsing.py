"""What came in: images and options, from a JSON body, a multipart form or one raw image. Every route takes all three.

A request holds its body while it is read, and then the bytes of its images, which are never more. The copies on the way from one
to the other are made on the threads of `offload`, of which one at a time has a large body.
"""

import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from fastapi import Request

from models.errors import short_repr
from service.api.base64_text import from_base64
from service.api.body import Body, read_body
from service.api.forms import read_form
from service.api.json_text import read_object
from service.api.offload import offload
from service.api.options import MAX_ECHO
from service.errors import InvalidRequest, TooManyImages
from service.settings import Settings

MAX_QUERY_BYTES = 65_536
MAX_QUERY_FIELDS = 64

COPYING = 16
"""So many bytes are copied in the time that it takes to read one of JSON."""

BINARY = ("image/", "application/octet-stream")
"""Content types of a raw image, as they begin."""

_LIKE_JSON = re.compile(rb"\s*[{\[]")


class InputImage(NamedTuple):
    """Bytes that should be an image, and the name of their place in the request."""

    data: bytes
    param: str


class ParsedRequest(NamedTuple):
    """A request's options, not yet checked, and its images; the bytes of its body, and those of them that are options."""

    options: dict[str, Any]
    images: list[InputImage]
    size: int
    options_size: int


async def parse_request(request: Request, settings: Settings, json_field: str) -> ParsedRequest:
    """Read a request whose JSON form holds its images in `json_field`.

    Raises:
        BodyTooLarge, RequestTimeout, TooManyImages, InvalidRequest
        Overloaded: there is no room for its body beside the other requests.
    """
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    query = read_query(request.scope["query_string"])
    body = await read_body(request, settings)
    if kind == "multipart/form-data":
        parsed = await offload(body.size // COPYING, _from_form, body, content_type, settings)
    elif kind == "application/json" or kind.endswith("+json"):
        parsed = await offload(body.size, _from_json, body, json_field, settings)
    else:
        parsed = await offload(body.size // COPYING, _from_raw, body, kind, json_field)
    return parsed._replace(options={**query, **parsed.options}) if query else parsed


def read_query(text: bytes) -> dict[str, Any]:
    """The query's fields; those that are repeated are lists.

    Raises:
        InvalidRequest: it is too long.
    """
    if not text:
        return {}
    if len(text) > MAX_QUERY_BYTES or text.count(b"&") >= MAX_QUERY_FIELDS:
        raise InvalidRequest(
            f"the query has {len(text):,} bytes and {text.count(b'&') + 1:,} fields, at most {MAX_QUERY_BYTES:,} and "
            f"{MAX_QUERY_FIELDS}; send the options in the body"
        )
    options: dict[str, Any] = {}
    for name, value in parse_qsl(text.decode("latin-1"), keep_blank_values=True):
        if name in options:
            before = options[name]
            options[name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            options[name] = value
    return options


def check_image_count(count: int, limit: int, what: str = "a request") -> None:
    """Raise `TooManyImages` above the limit."""
    if count > limit:
        raise TooManyImages(f"{what} may have {limit} images, this has {count:,}")


def _from_json(body: Body, field: str, settings: Settings) -> ParsedRequest:
    options = read_object(body.join(), "the body")
    if field not in options:
        raise InvalidRequest(f"{field} is missing: a data URL or base64 of an image", field)
    given = options.pop(field)
    many = isinstance(given, list)
    items = given if many else [given]
    if not items:
        raise InvalidRequest(f"{field} is an empty list; send at least one image", field)
    check_image_count(len(items), settings.max_images)
    images, size = [], body.size
    for i, item in enumerate(items):
        param = f"{field}[{i}]" if many else field
        text = _text_of(item, param)
        images.append(InputImage(from_base64(text, param, settings.max_image_bytes), param))
        size -= len(text)
    return ParsedRequest(options, images, body.size, size)


def _text_of(item: Any, param: str) -> Any:
    """The text of an image, which may stand in an object."""
    if not isinstance(item, dict):
        return item
    if len(item) != 1 or "image" not in item:
        raise InvalidRequest(f"{param} must have the one field 'image', not {short_repr([*item][:4], MAX_ECHO)}", param)
    return item["image"]


def _from_form(body: Body, content_type: str, settings: Settings) -> ParsedRequest:
    options: dict[str, Any] = {}
    images: list[InputImage] = []
    options_size = 0
    for name, data in read_form(body.join(), content_type, settings.max_images):
        if name == "request":
            options |= read_object(data, "part 'request'")
            options_size += len(data)
        elif name == "file":
            images.append(InputImage(data, f"file[{len(images)}]"))
        else:
            raise InvalidRequest(
                f"the form has a part {short_repr(name, MAX_ECHO)}; expected 'file' for an image and 'request' for options",
                name[:MAX_ECHO],
            )
    if not images:
        raise InvalidRequest("the form has no part named 'file' with an image in it", "file")
    check_image_count(len(images), settings.max_images)
    return ParsedRequest(options, images, body.size, options_size)


def _from_raw(body: Body, kind: str, field: str) -> ParsedRequest:
    data = body.join()
    if not data:
        raise InvalidRequest("the body is empty; send an image, a form with parts 'file', or JSON", field)
    if not kind.startswith(BINARY) and _LIKE_JSON.match(data):
        said = f"its content type is {short_repr(kind, MAX_ECHO)}" if kind else "it has no content type"
        raise InvalidRequest(f"the body looks like JSON, but {said}; send it with -H 'content-type: application/json'")
    return ParsedRequest({}, [InputImage(data, field)], len(data), 0)
