"""What came in: pictures and options, from a JSON body, a multipart form or one raw picture. Every route takes all three."""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any, NamedTuple, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from service.api.presence import ClientGone
from service.errors import BodyTooLarge, InvalidRequest, RequestTimeout, TooManyImages, UnsupportedOption
from service.settings import Settings

Body = TypeVar("Body", bound=BaseModel)

BYTES = "latin-1"
"""The codec in which text is bytes: parts come out as they went in, whatever charset a client names."""

BOUNDARY = re.compile(r'boundary=(?:"[^"]*"|[^;\s]+)', re.IGNORECASE)

MOST_PARTS = 10_000
"""Of a form; the server's own limit on pictures is checked after, so that the message has their number."""

DATA_URL = re.compile(r"data:[^,]*?;base64,", re.ASCII)


class Picture(NamedTuple):
    """Bytes that should be a picture, and the name of their place in the request."""

    data: bytes
    param: str


class Intake(NamedTuple):
    """A request's options, not yet checked, and its pictures."""

    options: dict[str, Any]
    pictures: list[Picture]


async def read_intake(request: Request, settings: Settings, json_field: str) -> Intake:
    """Read a request whose JSON form holds its pictures in `json_field`.

    Raises:
        BodyTooLarge, RequestTimeout, TooManyImages, InvalidRequest
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    query: dict[str, Any] = dict(request.query_params)
    body = await read_body(request, settings)
    if kind == "multipart/form-data":
        intake = await _from_form(request, body, settings)
        return Intake({**query, **intake.options}, intake.pictures)
    if kind == "application/json" or kind.endswith("+json"):
        intake = await asyncio.to_thread(_from_json, body, json_field, settings)
        return Intake({**query, **intake.options}, intake.pictures)
    if not body:
        raise InvalidRequest("the body is empty; send a picture, a form with parts 'file', or JSON", json_field)
    return Intake(query, [Picture(body, json_field)])


async def read_body(request: Request, settings: Settings) -> bytes:
    """The whole body. Refused by its declared length, or cut off as soon as it is longer than it may be."""
    limit = settings.max_body_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(f"a body may have {limit:,} bytes, this one says {int(declared):,}")
    chunks, size = [], 0
    try:
        async with asyncio.timeout(settings.body_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise BodyTooLarge(f"a body may have {limit:,} bytes, this one has more")
                chunks.append(chunk)
    except ClientDisconnect as error:
        raise ClientGone from error
    except TimeoutError as error:
        raise RequestTimeout(
            f"the body did not arrive within {settings.body_seconds:.0f} s; {size:,} bytes did"
        ) from error
    return b"".join(chunks)


def validated(schema: type[Body], options: dict[str, Any]) -> Body:
    """Options as a model.

    Raises:
        UnsupportedOption: a name, or a value of a choice, that is not among those there are.
        InvalidRequest: anything else that is wrong, in one sentence that names the field.
    """
    try:
        return schema.model_validate(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = param_name(first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            if len(first["loc"]) > 1:
                raise UnsupportedOption(f"{where} is unknown", where) from error
            known = ", ".join(field.alias or name for name, field in schema.model_fields.items())
            raise UnsupportedOption(f"option {where!r} is unknown; the options are {known}", where) from error
        if first["type"] == "literal_error":
            raise UnsupportedOption(f"{where} is {_short(first['input'])}: {_lower(message)}", where) from error
        if first["type"] == "missing":
            raise InvalidRequest(f"{where} is missing", where) from error
        given = "" if first["type"] == "value_error" else f" is {_short(first['input'])}"
        raise InvalidRequest(f"{where or 'the request'}{given}: {_lower(message)}", where or None) from error


def param_name(location: Sequence[int | str]) -> str:
    """A pydantic location as `targets[0].box`."""
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name


def from_base64(text: object, param: str) -> bytes:
    """The bytes of a data URL or of bare base64.

    Raises:
        InvalidRequest: neither.
    """
    if not isinstance(text, str):
        raise InvalidRequest(f"{param} must be a data URL or base64, not {type(text).__name__}", param)
    if text.startswith(("http://", "https://")):
        raise InvalidRequest(f"{param} is a web address; this server fetches nothing, send the picture itself", param)
    if not text:
        raise InvalidRequest(f"{param} is empty; send a data URL or base64 of a picture", param)
    found = DATA_URL.match(text)
    try:
        return base64.b64decode(text[found.end() :] if found else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{param} is neither a data URL nor base64: {error}", param) from error


def _from_json(body: bytes, field: str, settings: Settings) -> Intake:
    options = _object(body, "the body")
    if field not in options:
        raise InvalidRequest(f"{field} is missing: a data URL or base64 of a picture", field)
    given = options.pop(field)
    many = isinstance(given, list)
    items = given if many else [given]
    if not items:
        raise InvalidRequest(f"{field} is an empty list; send at least one picture", field)
    refuse_too_many(len(items), settings.max_images)
    pictures = []
    for i, item in enumerate(items):
        param = f"{field}[{i}]" if many else field
        if isinstance(item, dict):
            if set(item) != {"image"}:
                raise InvalidRequest(f"{param} must have the one field 'image', not {sorted(map(str, item))}", param)
            item = item["image"]
        pictures.append(Picture(from_base64(item, param), param))
    return Intake(options, pictures)


async def _from_form(request: Request, body: bytes, settings: Settings) -> Intake:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield body

    boundary = BOUNDARY.search(request.headers["content-type"])
    if not boundary:
        raise InvalidRequest("the content type multipart/form-data has no boundary")
    headers = Headers({"content-type": f"multipart/form-data; {boundary[0]}; charset={BYTES}"})
    parser = _InMemory(headers, chunks(), max_files=MOST_PARTS, max_fields=MOST_PARTS, max_part_size=len(body) + 1)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidRequest(f"the multipart body cannot be read: {error.message}") from error
    options: dict[str, Any] = {}
    pictures: list[Picture] = []
    for name, value in form.multi_items():
        data = await value.read() if isinstance(value, UploadFile) else value.encode(BYTES)
        if name == "request":
            options |= _object(data, "part 'request'")
        elif name == "file":
            pictures.append(Picture(data, f"file[{len(pictures)}]"))
        else:
            raise InvalidRequest(
                f"the form has a part {name!r}; expected 'file' for a picture and 'request' for options", name
            )
    await form.close()
    if not pictures:
        raise InvalidRequest("the form has no part named 'file' with a picture in it", "file")
    refuse_too_many(len(pictures), settings.max_images)
    return Intake(options, pictures)


class _InMemory(MultiPartParser):
    """Pictures are never written to disk: the body is bounded and in memory already."""

    spool_max_size = 2**40


def refuse_too_many(count: int, limit: int, what: str = "a request") -> None:
    """Raise `TooManyImages` above the limit."""
    if count > limit:
        raise TooManyImages(f"{what} may have {limit} pictures, this has {count:,}")


def _object(body: bytes, name: str) -> dict[str, Any]:
    if not body.strip():
        raise InvalidRequest(f"{name} is empty; expected a JSON object")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"{name} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequest(f"{name} must be a JSON object, not {type(value).__name__}")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
