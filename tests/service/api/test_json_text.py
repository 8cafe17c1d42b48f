"""JSON within bounds: long strings are set aside, and what would cost much is told before it is read."""

import json

import pytest

from service.api.json_text import MAX_JSON_ITEMS, MAX_TEXT, read_json, read_object
from service.errors import InvalidRequest

LONG = "A" * (MAX_TEXT + 1)


def plain(value):
    """The value with its long strings as Python's."""
    if isinstance(value, memoryview):
        return json.loads(b'"' + bytes(value) + b'"')
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        "",
        {"": ""},
        {"input": [LONG, "short", {"image": LONG + "/+=\n\\"}], "n": [1, -2.5, True, None]},
        {"a": '"', "b": '\\"' * 400, "c": "\\" * 2001, "d": LONG + "\\", "e": "é\U0001f600" * 300},
        [LONG, LONG],
        "x" * MAX_TEXT,
    ],
    ids=range(8),
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_is_read_is_what_json_says(value, ascii_only):
    assert plain(read_json(json.dumps(value, ensure_ascii=ascii_only).encode(), "it")) == value


def test_long_strings_are_parts_of_the_text_and_not_copies():
    text = json.dumps({"input": LONG, "short": "x" * 100}).encode()
    value = read_json(text, "it")
    assert isinstance(value["input"], memoryview)
    assert value["input"].obj is text
    assert value["short"] == "x" * 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"{", "not JSON"),
        (b'{"a', "not JSON"),
        (b'"\\', "not JSON"),
        (b'{"a": "' + LONG.encode() + b'", }', "not JSON"),
        (b'\\"' + LONG.encode() + b'"', "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"a": "\\u0000"}', "U\\+0000"),
        (b'{"a": "\\u00000", "b": "' + LONG.encode() + b'"}', "U\\+0000"),
        (b'{"' + LONG.encode() + b'": 1}', "a field whose name"),
        (b"[" * 9 + b"]" * 9, "nested too deep"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "nested too deep"),
        (b"[" * 100_000, "JSON"),
        (b"[" + b"1," * MAX_JSON_ITEMS + b"1]", "JSON values"),
        (b"[" + b'"",' * MAX_JSON_ITEMS + b'""]', "quotation marks"),
        (b'"' + b'\\"' * MAX_JSON_ITEMS + b'"', "quotation marks"),
        (b"[" + b"1" * 1_000_001 + b"]", "1,000,003 bytes of JSON beyond its images"),
    ],
    ids=range(18),
)
def test_what_is_beyond_a_bound_is_a_bad_request(text, message):
    with pytest.raises(InvalidRequest, match=message):
        read_json(text, "it")


def test_an_object_is_one():
    with pytest.raises(InvalidRequest, match="part 'request' must be a JSON object, not list"):
        read_object(b"[]", "part 'request'")
