"""Bodies: JSON that is none, deep, long, wide; base64 of every kind; forms that are cut or have too much of something."""

import base64
import json
from functools import partial
from typing import Any

from tests.hostile.client import EMBED, JSON, OPENAI, PREDICT, post, post_json
from tests.hostile.corpus.base import BAD, OK, Case, small_png, text_of

LARGE = frozenset({413})
TYPE = frozenset({415})
NOT_JSON = {
    "empty": b"",
    "a space": b" ",
    "null characters": bytes(5000),
    "a brace": b"{",
    "a bracket": b"[",
    "a closing brace": b"}",
    "a comma": b'{"input": "",}',
    "a list": b"[]",
    "a number": b"3",
    "a text": b'"x"',
    "null": b"null",
    "true": b"true",
    "an empty object": b"{}",
    "not UTF-8": b'\xff\xfe{"input": ""}',
    "UTF-16": '{"input": ""}'.encode("utf-16"),
    "UTF-32": '{"input": ""}'.encode("utf-32"),
    "a byte order mark": b'\xef\xbb\xbf{"input": ""}',
    "half of a surrogate": b'{"input": "\\ud800"}',
    "not UTF-8 in a text": b'{"input": "\xc3\x28"}',
    "an escape that is none": b'{"input": "\\q"}',
    "a line break in a text": b'{"input": "a\nb"}',
    "a text without end": b'{"input": "aaaa',
    "a quotation mark": b'"',
    "a backslash": b'{"input": "\\',
    "backslashes": b'{"input": "' + b"\\" * 100_001,
    "two documents": b'{"input": ""}{"input": ""}',
    "comments": b'{/* */"input": ""}',
    "single quotation marks": b"{'input': ''}",
    "NaN": b'{"input": NaN}',
    "a name without quotation marks": b"{input: 1}",
    "a mark of our own": b'{"input": "\\u00000"}',
    "U+0000": b'{"input": "\\u0000"}',
    "300,000 quotation marks": b'"' * 300_000,
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "a long number": b"9" * 1_000_000,
    "1,000,000 braces": b"{}" * 1_000_000,
}

INPUTS: list[tuple[str, Any, frozenset[int]]] = [
    ("null", None, BAD),
    ("a number", 3, BAD),
    ("true", True, BAD),
    ("an empty text", "", BAD),
    ("an empty list", [], BAD),
    ("empty lists", [[]], BAD),
    ("a list of numbers", [1, 2], BAD),
    ("tokens of a text model", [[1, 2, 3]], BAD),
    ("an object", {}, BAD),
    ("an object with more", {"image": "x", "b": 1}, BAD),
    ("an object of an object", {"image": {"image": "x"}}, BAD),
    ("an object of null", {"image": None}, BAD),
    ("a text", "a photo of a cat", BAD | TYPE),
    ("an address", "https://example.com/a.png", BAD),
    ("an address of this machine", "http://127.0.0.1:22/", BAD),
    ("a file", "file:///etc/passwd", BAD),
    ("an FTP address", "ftp://example.com/a.png", BAD),
    ("a path", "/etc/passwd", BAD | TYPE),
    ("a UNC path", "\\\\host\\share", BAD | TYPE),
    ("a data URL of text", "data:text/plain,abc", BAD),
    ("a data URL without base64", "data:image/png,raw", BAD),
    ("an empty data URL", "data:image/png;base64,", BAD | TYPE),
    ("a data URL of 100 kB of parameters", "data:" + "a;" * 50_000 + "base64,AAAA", BAD),
    ("data: alone", "data:", BAD),
    ("a data URL in a data URL", "data:a;base64,data:a;base64,AAAA", BAD),
    ("33 images", ["aaaa"] * 33, LARGE),
    ("10,000 images", ["aaaa"] * 10_000, LARGE),
    ("20,000 empty lists", [[]] * 20_000, LARGE | BAD),
    ("20 lists of lists", [[[[]]]] * 20, BAD),
    ("objects", [{}] * 32, BAD),
    ("objects of 2,000 fields", [{f"a{i}": 1 for i in range(2000)}] * 32, BAD),
    ("emoji", "\N{PILE OF POO}" * 9000, BAD),
    ("null characters", "\0" * 9000, BAD),
    ("a text of 2,000 spaces", " " * 2000, BAD | TYPE),
]


def texts() -> list[tuple[str, str, frozenset[int]]]:
    """An image as base64, of every kind."""
    text = text_of(small_png())
    lines = base64.encodebytes(small_png()).decode()
    return [
        ("lines", lines, OK),
        ("lines of Windows", lines.replace("\n", "\r\n"), OK),
        ("URL-safe", text.replace("+", "-").replace("/", "_"), OK),
        ("no padding", text.rstrip("="), OK),
        ("spaces around it", f" {text} ", OK | BAD),
        ("too much padding", text.rstrip("=") + "=====", OK | BAD),
        ("padding in the middle", text[:40] + "==" + text[40:], BAD | frozenset({422})),
        ("one character less", text.rstrip("=")[:-1], BAD | frozenset({200, 422})),
        ("five characters", text[:5], BAD | TYPE),
        ("a star in it", text[:100] + "*" + text[101:], BAD),
        ("an accent in it", text[:100] + "\u00e9" + text[101:], BAD),
        ("base64 of base64", text_of(text.encode()), TYPE),
        ("hexadecimal", small_png().hex(), TYPE | BAD),
        ("base32", base64.b32encode(small_png()).decode(), BAD | TYPE),
        ("data URL in capitals", "DATA:IMAGE/PNG;BASE64," + text, BAD | OK),
        ("data URL with a charset", "data:image/png;charset=utf-8;base64," + text, OK),
        ("data URL of another type", "data:text/html;base64," + text, OK),
        ("data URL without a type", "data:;base64," + text, OK),
    ]


def escaped() -> bytes:
    r"""JSON may escape the slashes, and everything else too."""
    text = "".join(f"\\u{ord(c):04x}" for c in text_of(small_png()))
    return post(f'{{"input": "{text}"}}'.encode(), OPENAI, JSON)


TYPES = (
    "application/json",
    "application/JSON; charset=utf-8",
    "application/json; charset=utf-7",
    "application/x+json",
    "text/json",
    "text/plain",
    "text/html",
    "",
    "x",
    "/",
    "application/x-www-form-urlencoded",
    "multipart/mixed; boundary=b",
    "multipart/form-data",
    "image/png",
    "image/svg+xml",
    "application/octet-stream",
    "a" * 5000,
    "application/json, text/html",
    "*/*",
)

CASES = [
    *(Case(f"JSON / {name}", partial(post, data, OPENAI, JSON), BAD) for name, data in NOT_JSON.items()),
    *(
        Case(f"JSON of a prediction / {name}", partial(post, data, PREDICT, JSON), BAD)
        for name, data in NOT_JSON.items()
        if len(data) < 100_000
    ),
    *(Case(f"input / {name}", partial(post_json, {"input": value}), statuses) for name, value, statuses in INPUTS),
    *(Case(f"base64 / {name}", partial(post_json, {"input": text}), statuses) for name, text, statuses in texts()),
    Case("base64 / all escaped", escaped, OK | BAD),
    *(
        Case(f"content type of an image / {kind[:40]!r}", partial(post, small_png(), EMBED, kind), OK | BAD | TYPE)
        for kind in TYPES
    ),
    *(
        Case(
            f"content type of JSON / {kind[:40]!r}",
            partial(post, json.dumps({"input": text_of(small_png())}).encode(), OPENAI, kind),
            OK | BAD | TYPE,
        )
        for kind in TYPES
    ),
]
