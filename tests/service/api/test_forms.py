"""Forms as clients write them, and forms that are made to cost much."""

import contextlib
import time

import httpx
import pytest

from service.api.forms import EXTRA_PARTS, MAX_HEADER_BYTES, read_form
from service.errors import InvalidRequest, TooManyImages

FORM = "multipart/form-data; boundary=b"


def part(headers, data=b"x"):
    return b"--b\r\n" + headers + b"\r\n\r\n" + data + b"\r\n"


def named(name, data=b"x"):
    return part(b'Content-Disposition: form-data; name="%s"' % name, data)


def test_the_form_of_an_http_client():
    data = {"a.jpg": bytes(range(256)) * 10, "b.jpg": b"", "c.jpg": b"\r\n--", "d.jpg": b"\r\n" * 5}
    files = [("file", item) for item in data.items()]
    request = httpx.Request("POST", "http://x", files=files, data={"request": '{"a": "é"}'})
    parts = read_form(request.read(), request.headers["content-type"], 4)
    assert sorted(parts) == sorted([("request", '{"a": "é"}'.encode()), *(("file", item) for item in data.values())])


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (named(b"file") + b"--b--\r\n", [("file", b"x")]),
        (named(b"file") + b"--b--", [("file", b"x")]),
        (b"a preamble\r\n" + named(b"file") + b"--b--\r\nan epilogue", [("file", b"x")]),
        (b"\r\n" + named(b"file") + b"--b--", [("file", b"x")]),
        (b"--b--\r\n", []),
        (part(b"CONTENT-DISPOSITION:form-data;NAME=file;filename=x") + b"--b--", [("file", b"x")]),
        (part(b'Content-Disposition: form-data; filename="; name=\\"no"; name="file"') + b"--b--", [("file", b"x")]),
        (part(b'Content-Type: image/png\r\nContent-Disposition: form-data; name="file"') + b"--b--", [("file", b"x")]),
        (part('Content-Disposition: form-data; name="é"'.encode("latin-1")) + b"--b--", [("é", b"x")]),
    ],
    ids=range(9),
)
def test_forms_that_can_be_read(body, parts):
    assert read_form(body, FORM, 4) == parts


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"", FORM, "boundary of its content type is not in it"),
        (b"x", "multipart/form-data", "no boundary"),
        (b"x", 'multipart/form-data; boundary=""', "no boundary"),
        (b"x", "multipart/form-data; boundary=" + "b" * 201, "201 characters"),
        (b"--b", FORM, "does not end its line"),
        (b"--bx\r\n", FORM, "does not end its line"),
        (b"--b\r\n", FORM, "headers of part 0 do not end"),
        (part(b"A: " + b"b" * MAX_HEADER_BYTES) + b"--b--", FORM, "headers of part 0 do not end within 4,096 bytes"),
        (named(b"file"), FORM, "without a last boundary"),
        (part(b"Content-Type: image/png") + b"--b--", FORM, "part 0 has no name"),
        (part(b"Content-Disposition: form-data") + b"--b--", FORM, "part 0 has no name"),
        (b"--b\r\n\r\nx\r\n--b--", FORM, "part 0 has no name"),
    ],
    ids=range(12),
)
def test_forms_that_cannot_be_read(body, content_type, message):
    with pytest.raises(InvalidRequest, match=message):
        read_form(body, content_type, 4)


def test_a_boundary_between_two_steps_is_found(monkeypatch):
    monkeypatch.setattr("service.api.forms.STEP_BYTES", 3)
    for size in range(12):
        body = named(b"file", b"x" * size) + named(b"request", b"y" * size) + b"--b--"
        assert read_form(body, FORM, 4) == [("file", b"x" * size), ("request", b"y" * size)]


def test_more_parts_than_images_are_told_with_their_number_and_are_not_read():
    body = named(b"file") * 100_000 + b"--b--"
    with pytest.raises(TooManyImages, match="may have 4 images, this form has 100,000 parts"):
        read_form(body, FORM, 4)
    assert len(read_form(named(b"file") * (4 + EXTRA_PARTS) + b"--b--", FORM, 4)) == 12


HOSTILE = {
    "almost a boundary": lambda: named(b"file", b"\r\n--" * 16_000_000) + b"--b--",
    "no boundary": lambda: b"\r\n-" * 20_000_000,
    "only boundaries": lambda: b"--b\r\n" * 12_000_000,
    "a name that does not end": lambda: part(b'Content-Disposition: form-data; name="' + b'\\"' * 1900) + b"--b--",
    "parameters that do not end": lambda: part(b"Content-Disposition: form-data; " + b';a="\\' * 780) * 12 + b"--b--",
    "half a header": lambda: part(b"content-disposition:" * 200) + b"--b--",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_none_takes_long(name):
    body = HOSTILE[name]()
    start = time.monotonic()
    with contextlib.suppress(InvalidRequest):
        read_form(body, FORM, 32)
    assert time.monotonic() - start < 2
