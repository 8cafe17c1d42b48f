"""Every form in which tools write base64 gives the same bytes."""

import base64
import json

import pytest

from service.api.base64_text import from_base64
from service.errors import BodyTooLarge, InvalidRequest

DATA = bytes(range(256)) * 3 + b"\xfb\xff\xfe\x00"
TEXT = base64.b64encode(DATA).decode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"data:image/png;base64,{TEXT}",
        f"data:image/png;name=a.png;base64,{TEXT}",
        base64.urlsafe_b64encode(DATA).decode(),
        TEXT.rstrip("="),
        base64.encodebytes(DATA).decode(),
        base64.encodebytes(DATA).decode().replace("\n", "\r\n"),
        "data:image/png;base64,\n" + base64.encodebytes(DATA).decode(),
    ],
    ids=["bare", "data URL", "with a parameter", "URL-safe", "unpadded", "76 columns", "CRLF", "both"],
)
def test_forms_of_base64(text):
    assert from_base64(text, "image", 1000) == DATA
    assert from_base64(memoryview(text.encode()), "image", 1000) == DATA
    assert from_base64(memoryview(json.dumps(text).encode()[1:-1]), "image", 1000) == DATA


@pytest.mark.parametrize(
    "escape", [("/", "\\/"), ("+", "\\u002B"), ("+", "\\u002b"), ("=", "\\u003d"), ("A", "\\r\\nA")]
)
def test_what_json_lets_escape(escape):
    assert from_base64(memoryview(TEXT.replace(*escape).encode()), "image", 1000) == DATA


@pytest.mark.parametrize(
    "text",
    [
        "not base64!",
        "data:image/png,raw",
        "AAAAA",
        "é" * 8,
        "=AAA",
        "A" * 400 + "\ud800",
        "https://example.com/a.png",
        "",
        3,
        None,
    ],
)
def test_anything_else_is_a_bad_request(text):
    with pytest.raises(InvalidRequest, match=r"^input\[1\] ") as caught:
        from_base64(text, "input[1]", 1000)
    assert caught.value.param == "input[1]"


@pytest.mark.parametrize("text", [b"AAAA\\u1234", b"AAAA\\ud83d\\ude00", b"AAAA\\x", b"AAA\\", b"AAAA\xff", b'AA"A'])
def test_escapes_of_other_characters_are_not_base64(text):
    with pytest.raises(InvalidRequest, match="neither a data URL nor base64"):
        from_base64(memoryview(text), "image", 1000)


def test_text_that_is_certainly_too_long_is_not_decoded():
    with pytest.raises(BodyTooLarge, match="may have 1,000 bytes, the base64 of this one has 3,000"):
        from_base64(memoryview(b"!" * 3000), "image", 1000)
