"""Multipart forms from a body that is in memory: cut at the boundaries, with bounds on the parts and on their headers."""

import re
from typing import NamedTuple

from service.errors import InvalidRequest, TooManyImages

BOUNDARY = re.compile(r'boundary=(?:"([^"]*)"|([^;\s]+))', re.IGNORECASE)
MAX_BOUNDARY = 200

MAX_HEADER_BYTES = 4096
"""Of the headers of one part."""

STEP_BYTES = 1_000_000
"""Bytes that are searched without a break, between which other threads run."""

EXTRA_PARTS = 8
"""Parts that a form may have beside its images."""

_DISPOSITION = re.compile(rb"^content-disposition:(.*)$", re.IGNORECASE | re.MULTILINE)
_PARAMETER = re.compile(rb';\s*+([^\s=;"]++)\s*+=\s*+("(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[^;\r\n"]*+)', re.DOTALL)


class FormPart(NamedTuple):
    """A part's name and its bytes."""

    name: str
    data: bytes


def read_form(body: bytes, content_type: str, max_images: int) -> list[FormPart]:
    """The parts of a form. Names are read as Latin-1, whatever charset a client says.

    Raises:
        InvalidRequest: it cannot be read.
        TooManyImages: more parts than images are allowed, and a few for options.
    """
    delimiter = b"\r\n--" + _boundary(content_type)
    if body.startswith(delimiter[2:]):
        at = len(delimiter) - 2
    else:
        at = _find(body, delimiter, 0) + len(delimiter)
        if at < len(delimiter):
            raise InvalidRequest("the multipart body cannot be read: the boundary of its content type is not in it")
    parts: list[FormPart] = []
    while body[at : at + 2] != b"--":
        if len(parts) == max_images + EXTRA_PARTS:
            count = body.count(delimiter)
            raise TooManyImages(f"a request may have {max_images} images, this form has {count:,} parts")
        if body[at : at + 2] != b"\r\n":
            raise InvalidRequest(f"the multipart body cannot be read: boundary {len(parts)} does not end its line")
        headers_end = body.find(b"\r\n\r\n", at, at + MAX_HEADER_BYTES)
        if headers_end < 0:
            raise InvalidRequest(
                f"the multipart body cannot be read: the headers of part {len(parts)} do not end "
                f"within {MAX_HEADER_BYTES:,} bytes"
            )
        end = _find(body, delimiter, headers_end + 4)
        if end < 0:
            raise InvalidRequest("the multipart body cannot be read: it ends within a part, without a last boundary")
        parts.append(FormPart(_name(body[at:headers_end], len(parts)), body[headers_end + 4 : end]))
        at = end + len(delimiter)
    return parts


def _find(body: bytes, delimiter: bytes, start: int) -> int:
    """`body.find`, in steps between which other threads run."""
    for step in range(start, len(body), STEP_BYTES):
        if (at := body.find(delimiter, step, step + STEP_BYTES + len(delimiter) - 1)) >= 0:
            return at
    return -1


def _boundary(content_type: str) -> bytes:
    found = BOUNDARY.search(content_type)
    boundary = (found[1] or found[2] or "") if found else ""
    if not boundary:
        raise InvalidRequest("the content type multipart/form-data has no boundary")
    if len(boundary) > MAX_BOUNDARY:
        raise InvalidRequest(f"the boundary of the form has {len(boundary):,} characters, at most {MAX_BOUNDARY}")
    return boundary.encode("latin-1")


def _name(headers: bytes, number: int) -> str:
    disposition = _DISPOSITION.search(headers)
    for key, value in _PARAMETER.findall(disposition[1]) if disposition else ():
        if key.lower() == b"name":
            name: bytes = value.strip().strip(b'"')
            return name.decode("latin-1")
    raise InvalidRequest(
        f"the multipart body cannot be read: part {number} has no name in a Content-Disposition header"
    )
