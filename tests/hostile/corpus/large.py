"""Bodies of millions of values, and of as many bytes as a body may have."""

from collections.abc import Callable
from functools import partial

from tests.hostile.client import EMBED, JSON, OPENAI, PREDICT, post, post_json
from tests.hostile.corpus.base import BAD, Case, small_png
from tests.hostile.corpus.http import chunked
from tests.hostile.corpus.images import form
from tests.hostile.corpus.options import in_form, in_json

SIZE = 60_000_000
TOO_LARGE = frozenset({413})

LARGE_JSON: dict[str, Callable[[], bytes]] = {
    "5,000,000 commas": lambda: b'{"input": [' + b"1," * 5_000_000 + b"1]}",
    "60 MB of spaces": lambda: b" " * SIZE,
    "60 MB of brackets": lambda: b"[" * SIZE,
    "60 MB of quotation marks": lambda: b'"' * SIZE,
    "60 MB of backslashes": lambda: b'{"input": "' + b"\\" * SIZE,
    "60 MB of empty lists": lambda: b'{"input": [' + b"[]," * (SIZE // 3) + b"[]]}",
    "60 MB of unknown options": lambda: b'{"input": "' + b'", "a": 1, "b": "' * (SIZE // 16) + b'"}',
    "60 MB of one option": lambda: b'{"input": "", "user": "' + b"x" * SIZE + b'"}',
    "60 MB of a name": lambda: b'{"' + b"x" * SIZE + b'": 1}',
}
LARGE_FORMS: dict[str, Callable[[], bytes]] = {
    "request of 8 MB": lambda: with_request(b"[" * 8_000_000),
    "request of 60 MB": lambda: with_request(b'{"a": "' + b"x" * SIZE + b'"}'),
    "request of 60 MB of values": lambda: with_request(b'{"a": [' + b"1," * (SIZE // 2) + b"1]}"),
    "request of 60 MB of options": lambda: with_request(b'{"a": "' + b'", "a": 1, "b": "' * (SIZE // 16) + b'"}'),
    "a header of 60 MB": lambda: b'--b\r\nX: "' + b"\\" * SIZE + b'"\r\n\r\nx\r\n--b--\r\n',
    "60 MB of boundaries": lambda: b"--b\r\n" * (SIZE // 5),
}
MANY: dict[str, Callable[[], bytes]] = {
    "an image of 25 MB": lambda: post_json({"input": "A" * 33_333_336}),
    "a million images": lambda: post_json({"input": ["aa"] * 1_000_000}),
    "a million empty lists": lambda: post_json({"input": [[]] * 1_000_000}),
    "500,000 unknown options": lambda: in_json({f"o{i}": i for i in range(500_000)}),
    "500,000 unknown options in a form": lambda: in_form({f"o{i}": i for i in range(500_000)}),
    "65 MB": lambda: post(b"x" * 65_000_000),
    "65 MB in chunks": lambda: chunked((b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n") * 65 + b"0\r\n\r\n"),
    "an image of 21 MB": lambda: post(b"\xff\xd8\xff" + b"x" * 21_000_000),
}


def with_request(text: bytes) -> bytes:
    """A form with an image and a part `request`."""
    return form(("file", small_png()), ("request", text))


def large_json(name: str, path: str = OPENAI) -> bytes:
    """One of `LARGE_JSON`."""
    return post(LARGE_JSON[name](), path, JSON)


def large_form(name: str) -> bytes:
    """One of `LARGE_FORMS`."""
    return post(LARGE_FORMS[name](), EMBED, "multipart/form-data; boundary=b")


STATUSES = BAD | TOO_LARGE | frozenset({415})
CASES = [
    *(Case(f"large JSON / {name}", partial(large_json, name), STATUSES, slow=True) for name in LARGE_JSON),
    *(
        Case(f"large JSON of a prediction / {name}", partial(large_json, name, PREDICT), STATUSES, slow=True)
        for name in LARGE_JSON
    ),
    *(Case(f"large form / {name}", partial(large_form, name), STATUSES, slow=True) for name in LARGE_FORMS),
    *(Case(f"large / {name}", make, STATUSES, slow="65" in name) for name, make in MANY.items()),
]
