"""What came in: images and options, from a JSON body, a multipart form or one raw image. Every route takes all three."""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import orjson
from fastapi import Request
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.api.disconnect import ClientDisconnected
from service.api.offload import offload
from service.errors import BodyTooLarge, InvalidRequest, RequestTimeout, TooManyImages
from service.settings import Settings

BYTES = "latin-1"
"""The codec in which text is bytes: parts come out as they went in, whatever charset a client names."""

BOUNDARY = re.compile(r'boundary=(?:"[^"]*"|[^;\s]+)', re.IGNORECASE)

MAX_FORM_PARTS = 10_000
"""Of a form; the server's own limit on images is checked after, so that the message has their number."""

DATA_URL = re.compile(r"data:[^,]*?;base64,", re.ASCII)


class InputImage(NamedTuple):
    """Bytes that should be an image, and the name of their place in the request."""

    data: bytes
    param: str


Parts = tuple[dict[str, Any], list[InputImage]]


class ParsedRequest(NamedTuple):
    """A request's options, not yet checked, and its images; and the bytes of its body."""

    options: dict[str, Any]
    images: list[InputImage]
    size: int


async def parse_request(request: Request, settings: Settings, json_field: str) -> ParsedRequest:
    """Read a request whose JSON form holds its images in `json_field`.

    Raises:
        BodyTooLarge, RequestTimeout, TooManyImages, InvalidRequest
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    query: dict[str, Any] = dict(request.query_params) if request.scope["query_string"] else {}
    body = await read_body(request, settings)
    if kind == "multipart/form-data":
        options, images = await _from_form(request, body, settings)
        return ParsedRequest({**query, **options}, images, len(body))
    if kind == "application/json" or kind.endswith("+json"):
        options, images = await offload(len(body), _from_json, body, json_field, settings)
        return ParsedRequest({**query, **options}, images, len(body))
    if not body:
        raise InvalidRequest("the body is empty; send an image, a form with parts 'file', or JSON", json_field)
    return ParsedRequest(query, [InputImage(body, json_field)], len(body))


async def read_body(request: Request, settings: Settings) -> bytes:
    """The whole body. Refused by its declared length, or cut off as soon as it is longer than it may be."""
    limit = settings.max_body_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(f"a body may have {limit:,} bytes, this one says {int(declared):,}")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(settings.body_seconds):
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnected
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > limit:
                    raise BodyTooLarge(f"a body may have {limit:,} bytes, this one has more")
                more = message.get("more_body", False)
    except TimeoutError as error:
        raise RequestTimeout(
            f"the body did not arrive within {settings.body_seconds:.0f} s; {size:,} bytes did"
        ) from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def from_base64(text: object, param: str, what: str = "an image") -> bytes:
    """The bytes of a data URL or of bare base64.

    Raises:
        InvalidRequest: neither.
    """
    if not isinstance(text, str):
        raise InvalidRequest(f"{param} must be a data URL or base64, not {type(text).__name__}", param)
    if text.startswith(("http://", "https://")):
        raise InvalidRequest(f"{param} is a web address; this server fetches no URLs, send {what} itself", param)
    if not text:
        raise InvalidRequest(f"{param} is empty; send a data URL or base64 of {what}", param)
    found = DATA_URL.match(text)
    try:
        return base64.b64decode(text[found.end() :] if found else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{param} is neither a data URL nor base64: {error}", param) from error


def _from_json(body: bytes, field: str, settings: Settings) -> Parts:
    options = _object(body, "the body")
    if field not in options:
        raise InvalidRequest(f"{field} is missing: a data URL or base64 of an image", field)
    given = options.pop(field)
    many = isinstance(given, list)
    items = given if many else [given]
    if not items:
        raise InvalidRequest(f"{field} is an empty list; send at least one image", field)
    check_image_count(len(items), settings.max_images)
    images = []
    for i, item in enumerate(items):
        param = f"{field}[{i}]" if many else field
        if isinstance(item, dict):
            if set(item) != {"image"}:
                raise InvalidRequest(f"{param} must have the one field 'image', not {sorted(map(str, item))}", param)
            item = item["image"]
        images.append(InputImage(from_base64(item, param), param))
    return options, images


async def _from_form(request: Request, body: bytes, settings: Settings) -> Parts:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield body

    boundary = BOUNDARY.search(request.headers["content-type"])
    if not boundary:
        raise InvalidRequest("the content type multipart/form-data has no boundary")
    headers = Headers({"content-type": f"multipart/form-data; {boundary[0]}; charset={BYTES}"})
    parser = _InMemory(
        headers, chunks(), max_files=MAX_FORM_PARTS, max_fields=MAX_FORM_PARTS, max_part_size=len(body) + 1
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidRequest(f"the multipart body cannot be read: {error.message}") from error
    options: dict[str, Any] = {}
    images: list[InputImage] = []
    try:
        for name, value in form.multi_items():
            data = await value.read() if isinstance(value, UploadFile) else value.encode(BYTES)
            if name == "request":
                options |= _object(data, "part 'request'")
            elif name == "file":
                images.append(InputImage(data, f"file[{len(images)}]"))
            else:
                raise InvalidRequest(
                    f"the form has a part {name!r}; expected 'file' for an image and 'request' for options", name
                )
    finally:
        await form.close()
    if not images:
        raise InvalidRequest("the form has no part named 'file' with an image in it", "file")
    check_image_count(len(images), settings.max_images)
    return options, images


class _InMemory(MultiPartParser):
    """Images are never written to disk: the body is bounded and in memory already."""

    spool_max_size = 2**40


def check_image_count(count: int, limit: int, what: str = "a request") -> None:
    """Raise `TooManyImages` above the limit."""
    if count > limit:
        raise TooManyImages(f"{what} may have {limit} images, this has {count:,}")


def _object(body: bytes, name: str) -> dict[str, Any]:
    if not body.strip():
        raise InvalidRequest(f"{name} is empty; expected a JSON object")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"{name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequest(f"{name} must be a JSON object, not {type(value).__name__}")
    return value
