"""Methods, paths and headers of requests that are HTTP."""

from functools import partial

from tests.hostile.client import EMBED, PREDICT, post, request
from tests.hostile.corpus.base import BAD, OK, Case, small_png

NOT_FOUND, WRONG_METHOD, NOT_ACCEPTABLE, HEAD_TOO_LARGE = (frozenset({status}) for status in (404, 405, 406, 431))
EMPTY = frozenset({204, 304})

METHODS = (
    "GET",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "HEAD",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "MKCOL",
    "PURGE",
    "M-SEARCH",
    "QUERY",
)
PATHS = (
    "/nowhere",
    "//",
    "//v1/embeddings",
    "/v1",
    "/v1/",
    "/v1/embeddings/",
    "/v1/embeddings/..",
    "/v1/../etc/passwd",
    "/../../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/docs/assets/../../../settings.py",
    "/docs/assets/..%2f..%2f..%2fetc/passwd",
    "/docs/assets/%00",
    "/docs/assets/" + "a" * 5000,
    "/docs/assets/",
    "/v1/models/",
    "/v1/models/%00",
    "/v1/models/..",
    "/v1/models/" + "a" * 5000,
    "/v1/models/%ff%fe",
    "/v1/models/a%0d%0aSet-Cookie:x",
    "/%",
    "/%zz",
    "/%ff",
    "/;a=b",
    "/v1/embeddings;jsessionid=1",
    "/v1/EMBEDDINGS",
    "/.git/config",
    "/.env",
    "/admin",
    "/server-status",
    "/static/..\\..\\etc",
    "/" + "a/" * 8000,
    "/<script>alert(1)</script>",
    "/v2/models/other",
    "/v2/models/other/infer",
    "/v1/files/../../etc/passwd",
    "/openapi.json/x",
    "/metrics/x",
    "/health/ready/",
    "/?" + "a" * 20_000,
)
ACCEPTS = (
    "",
    "*/*",
    "text/html",
    "application/json;q=0",
    "application/json;q=9",
    "application/json;q=x",
    "x",
    "/",
    ",,,,",
    "*/json",
    "application/*;q=0.1, */*;q=0",
    "application/x-npy",
    "application/vnd.safetensors",
    "application/x-npy;" * 900,
    ",".join(["a/b;q=0.5"] * 2500),
    "image/png",
    "\xff\xfe",
    "a" * 20_000,
)
IDS = ("mine", "a" * 128, "a" * 129, "a" * 20_000, "a b", "<script>", "\xe9", "\x1b[31m", "%0d%0a", "'; drop table", "")
TIMEOUTS = ("0", "-1", "nan", "inf", "1e999", "x", "9" * 5000, "")


def with_header(name: str, value: str) -> bytes:
    """A good request with one header."""
    return post(small_png(), EMBED, "image/png", **{name: value})


CASES = [
    Case(
        "header / a hidden request",
        lambda: with_header("x", request("GET", "/metrics").decode("latin-1").replace("\r\n", "\n ")),
        OK | BAD,
        outside=True,
    ),
    *(
        Case(
            f"method / {method} of {path}",
            partial(request, method, path, b""),
            WRONG_METHOD | NOT_FOUND | BAD | (EMPTY if method == "OPTIONS" else frozenset()),
            outside=True,
        )
        for method in METHODS
        for path in (EMBED, PREDICT)
    ),
    *(
        Case(f"method / POST of {path}", partial(request, "POST", path, b"x"), WRONG_METHOD)
        for path in ("/health", "/metrics", "/v1/models", "/", "/openapi.json")
    ),
    *(
        Case(
            f"path / {path[:60]}",
            partial(request, "GET", path, b""),
            NOT_FOUND | WRONG_METHOD | BAD | HEAD_TOO_LARGE | (OK if path[:2] in ("//", "/?") else frozenset()),
            outside=True,
        )
        for path in PATHS
    ),
    *(
        Case(f"accept / {accept[:40]!r}", partial(with_header, "accept", accept), OK | NOT_ACCEPTABLE | BAD)
        for accept in ACCEPTS
    ),
    *(
        Case(
            f"request id / {len(value)} characters, {value[:40]!r}",
            partial(with_header, "x_request_id", value),
            OK | BAD,
            outside=True,
        )
        for value in IDS
    ),
    *(
        Case(
            f"request timeout / {value[:40]!r}",
            partial(with_header, "x_request_timeout", value),
            OK | BAD | frozenset({504}),
        )
        for value in TIMEOUTS
    ),
    *(
        Case(f"expect / {value}", partial(with_header, "expect", value), OK | BAD | frozenset({417}))
        for value in ("100-continue", "200-ok", "")
    ),
    *(
        Case(f"encoding / {value}", partial(with_header, "content_encoding", value), OK | BAD | frozenset({415}))
        for value in ("gzip", "br", "identity", "x")
    ),
    *(
        Case(
            f"host / {value[:40]!r}", partial(with_header, "host", value), OK | frozenset({400, 403, 421}), outside=True
        )
        for value in (
            "evil.example",
            "localhost:99999",
            "127.0.0.1",
            "[::1]",
            "[::1",
            "a" * 9000,
            "localhost@evil.example",
            "",
            "localhost, evil.example",
            "0x7f.1",
            "2130706433",
        )
    ),
    *(
        Case(f"origin / {value}", partial(with_header, "origin", value), OK | frozenset({400, 403}))
        for value in ("null", "http://evil.example", "http://localhost", "x", "file://")
    ),
]
