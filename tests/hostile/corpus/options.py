"""Options in JSON, in the query and in a form: unknown, of another type, too long, too many, twice."""

import json
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from tests.hostile.client import EMBED, JSON, OPENAI, post, post_json
from tests.hostile.corpus.base import BAD, OK, Case, small_png, text_of
from tests.hostile.corpus.images import form

LONG = "x" * 100_000
NOT_FOUND = frozenset({404})

OPTIONS: list[tuple[str, dict[str, Any], frozenset[int]]] = [
    ("an unknown one", {"colour": "blue"}, BAD),
    ("an unknown one with a long name", {LONG: 1}, BAD),
    ("an unknown one with a long value", {"colour": LONG}, BAD),
    ("an empty name", {"": 1}, BAD),
    ("a name with a null character", {"a\0b": 1}, BAD),
    ("a name of emoji", {"\N{PILE OF POO}" * 300: 1}, BAD),
    ("10,000 unknown ones", {f"o{i}": i for i in range(10_000)}, BAD),
    ("__class__", {"__class__": "x"}, BAD),
    ("__proto__", {"__proto__": {"model": "x"}}, BAD),
    ("model_config", {"model_config": {"extra": "allow"}}, BAD),
    ("model null", {"model": None}, OK),
    ("model unknown", {"model": "other"}, NOT_FOUND),
    ("model long", {"model": LONG}, BAD | NOT_FOUND),
    ("model path", {"model": "../../etc/passwd"}, NOT_FOUND),
    ("model number", {"model": 3}, BAD),
    ("model list", {"model": ["x"] * 1000}, BAD),
    ("model object", {"model": {"a": {"b": {}}}}, BAD),
    ("fit unknown", {"fit": "stretch"}, BAD),
    ("fit long", {"fit": LONG}, BAD),
    ("fit list", {"fit": ["crop"]}, BAD),
    ("dtype unknown", {"dtype": "int8"}, BAD),
    ("dtype float16 as JSON floats", {"dtype": "float16"}, BAD),
    ("dtype object", {"dtype": {}}, BAD),
    ("encoding unknown", {"encoding_format": "hex"}, BAD),
    ("encoding long", {"encoding_format": LONG}, BAD),
    ("output unknown", {"output": "tokens"}, BAD),
    ("output number", {"output": 1}, BAD),
    ("pooling unknown", {"pooling": "max"}, BAD),
    ("pooling long", {"pooling": LONG}, BAD),
    ("pooling of patches unknown", {"output": "patches", "pooling": "max"}, BAD),
    ("pooling list", {"pooling": []}, BAD),
    ("normalize a word", {"normalize": "perhaps"}, BAD),
    ("normalize a huge number", {"normalize": 10**300}, BAD),
    ("normalize null", {"normalize": None}, BAD),
    ("normalize deep", {"normalize": [[[[[[[[[[1]]]]]]]]]]}, BAD),
    ("dimensions 5", {"dimensions": 5}, BAD),
    ("dimensions 0", {"dimensions": 0}, BAD),
    ("dimensions -1", {"dimensions": -1}, BAD),
    ("dimensions 2^63", {"dimensions": 2**63}, BAD),
    ("dimensions 1e308", {"dimensions": 1e308}, BAD),
    ("dimensions a word", {"dimensions": "many"}, BAD),
    ("user long", {"user": LONG}, OK | BAD),
    ("user object", {"user": {"a": 1}}, BAD),
    ("on_error unknown", {"on_error": "explode"}, BAD),
]
NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "0x10", "01", "1" * 5000, "-", "1.", "1e", "9" * 400)


def in_json(options: dict[str, Any]) -> bytes:
    """Beside an image."""
    return post_json({"input": text_of(small_png()), **options}, OPENAI)


def in_query(options: dict[str, Any]) -> bytes:
    """Beside a raw image."""
    text = urlencode({name: value if isinstance(value, str) else json.dumps(value) for name, value in options.items()})
    return post(small_png(), f"{EMBED}?{text}")


def in_form(options: dict[str, Any]) -> bytes:
    """In the part `request`."""
    parts = form(("file", small_png()), ("request", json.dumps(options).encode()))
    return post(parts, EMBED, "multipart/form-data; boundary=b")


def in_text(value: str) -> bytes:
    """JSON that Python does not write."""
    return post(f'{{"input": "{text_of(small_png())}", "dimensions": {value}}}'.encode(), OPENAI, JSON)


def query(text: str) -> bytes:
    """A raw image and a query."""
    return post(small_png(), f"{EMBED}?{text}")


def _short(options: dict[str, Any]) -> bool:
    return sum(len(f"{name}{value}") for name, value in options.items()) < 10_000


CASES = [
    *(Case(f"option in JSON / {name}", partial(in_json, options), statuses) for name, options, statuses in OPTIONS),
    *(Case(f"option in a form / {name}", partial(in_form, options), statuses) for name, options, statuses in OPTIONS),
    *(
        Case(
            f"option in the query / {name}",
            partial(in_query, options),
            statuses | BAD | NOT_FOUND | (OK if "user" in options else BAD),
        )
        for name, options, statuses in OPTIONS
        if _short(options)
    ),
    *(Case(f"option in JSON / the number {value[:12]}", partial(in_text, value), BAD) for value in NUMBERS),
    *(
        Case(f"query / {name}", partial(query, text), statuses)
        for name, text, statuses in (
            ("empty", "", OK),
            ("&", "&&&&&", OK),
            ("=", "=", BAD | OK),
            ("no value", "model", BAD | NOT_FOUND | OK),
            ("a field twice", "fit=crop&fit=squash", BAD),
            ("a field 60 times", "&".join(["fit=crop"] * 60), BAD),
            ("a field 2,000 times", "&".join(["fit=crop"] * 2000), BAD),
            ("5,000 fields", "&".join(f"a{i}" for i in range(5000)), BAD | frozenset({431})),
            ("bad percent", "fit=%zz%", BAD),
            ("bytes that are not UTF-8", "fit=%ff%fe", BAD),
            ("a null character", "fit=%00", BAD),
            ("a line break", "fit=%0d%0aSet-Cookie:x", BAD),
            ("semicolons", "fit=crop;dtype=float32", BAD),
            ("brackets", "fit[]=crop", BAD),
            ("20 kB", "model=" + "a" * 20_000, NOT_FOUND | BAD | frozenset({431})),
            ("percent within percent", "fit=%2525252525", BAD),
            ("input in the query", "input=" + quote(text_of(small_png())[:500]), BAD),
        )
    ),
]
