"""HTTP itself: request lines, methods, paths, versions, headers, lengths, chunks, pipelining."""

from functools import partial

from tests.hostile.client import CLOSED, EMBED, JSON, OPENAI, post, request
from tests.hostile.corpus.base import BAD, OK, Case, small_png

LATE = frozenset({408})
GONE = frozenset({CLOSED})
NOT_FOUND, WRONG_METHOD, NOT_ACCEPTABLE, TOO_LARGE, HEAD_TOO_LARGE = (frozenset({s}) for s in (404, 405, 406, 413, 431))
HOST_HEADER = b"Host: localhost\r\n"


def raw(data: bytes) -> bytes:
    """As it is."""
    return data


def head(line: str, *headers: str) -> bytes:
    """A request line and headers, with Host."""
    return "\r\n".join([line, "Host: localhost", *headers, "", ""]).encode("latin-1")


def chunked(body: bytes, *headers: str, path: str = EMBED) -> bytes:
    """A body that is already in chunks."""
    return head(f"POST {path} HTTP/1.1", "Transfer-Encoding: chunked", *headers) + body


def one_chunk(data: bytes) -> bytes:
    """All of it."""
    return b"%x\r\n" % len(data) + data + b"\r\n0\r\n\r\n"


REFUSED = BAD | GONE
BROKEN = [
    ("rubbish", bytes(range(256)) * 4, REFUSED),
    ("null characters", bytes(5000), REFUSED),
    ("line breaks", b"\r\n" * 5000, REFUSED | LATE),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), REFUSED),
    ("SSH", b"SSH-2.0-OpenSSH_9.0\r\n", REFUSED),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), REFUSED | NOT_FOUND | WRONG_METHOD),
    ("Redis", b"*1\r\n$4\r\nPING\r\n", REFUSED),
    ("HTTP/0.9", b"GET /\r\n\r\n", REFUSED | OK),
    ("HTTP/3.0", head("GET /health HTTP/3.0"), REFUSED | OK),
    ("HTTP/1.1.1", head("GET /health HTTP/1.1.1"), REFUSED),
    ("no version", head("GET /health"), REFUSED | OK),
    ("no path", head("GET  HTTP/1.1"), REFUSED),
    ("no method", head(" /health HTTP/1.1"), REFUSED),
    ("a star", head("OPTIONS * HTTP/1.1"), REFUSED | NOT_FOUND | WRONG_METHOD),
    ("a method of 20 kB", head("A" * 20_000 + " / HTTP/1.1"), REFUSED | HEAD_TOO_LARGE),
    ("a method in small letters", head("get /health HTTP/1.1"), REFUSED),
    ("a path of 100 kB", head("GET /" + "a" * 100_000 + " HTTP/1.1"), REFUSED | HEAD_TOO_LARGE),
    ("spaces in its path", head("GET /a b c HTTP/1.1"), REFUSED | NOT_FOUND),
    ("a path that is not ASCII", head("GET /\xff HTTP/1.1"), REFUSED | NOT_FOUND),
    ("a null character in its path", head("GET /a\0b HTTP/1.1"), REFUSED | NOT_FOUND),
    ("a whole address", head("GET http://localhost/health HTTP/1.1"), OK | REFUSED | NOT_FOUND),
    (
        "an address of another host",
        head("GET http://example.com/health HTTP/1.1"),
        OK | REFUSED | NOT_FOUND | frozenset({403, 421}),
    ),
    ("an address that is none", head("GET http://:99999999/ HTTP/1.1"), REFUSED | NOT_FOUND),
    ("line feeds alone", b"GET /health HTTP/1.1\nHost: localhost\n\n", REFUSED | OK),
    ("a header of 1 MB", head("GET /health HTTP/1.1", "A: " + "b" * 1_000_000), REFUSED | HEAD_TOO_LARGE),
    ("10,000 headers", head("GET /health HTTP/1.1", *["A: b"] * 10_000), REFUSED | HEAD_TOO_LARGE),
    ("150 headers", head("GET /health HTTP/1.1", *["A: b"] * 150), REFUSED | HEAD_TOO_LARGE),
    ("a header without a colon", head("GET /health HTTP/1.1", "abc"), REFUSED),
    ("a header without a name", head("GET /health HTTP/1.1", ": b"), REFUSED),
    ("a space before a colon", head("GET /health HTTP/1.1", "A : b"), REFUSED | OK),
    ("a folded header", head("GET /health HTTP/1.1", "A: b", " c"), REFUSED | OK),
    ("a null character in a header", head("GET /health HTTP/1.1", "A: b\0c"), REFUSED | OK),
    ("a carriage return in a header", head("GET /health HTTP/1.1", "A: b\rc"), REFUSED | OK),
    ("no host", b"GET /health HTTP/1.1\r\n\r\n", REFUSED | OK | frozenset({403, 421})),
    ("two hosts", head("GET /health HTTP/1.1", "Host: example.com"), REFUSED | OK | frozenset({403, 421})),
    (
        "an upgrade to WebSocket",
        head(
            "GET / HTTP/1.1",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: x",
            "Sec-WebSocket-Version: 13",
        ),
        REFUSED | OK,
    ),
    ("an upgrade to HTTP/2", head("GET /health HTTP/1.1", "Upgrade: h2c", "Connection: Upgrade"), REFUSED | OK),
    ("a length of -1", head(f"POST {EMBED} HTTP/1.1", "Content-Length: -1"), REFUSED),
    ("a length of x", head(f"POST {EMBED} HTTP/1.1", "Content-Length: x"), REFUSED),
    ("a length of +3", head(f"POST {EMBED} HTTP/1.1", "Content-Length: +3") + b"abc", REFUSED),
    ("a length of 1e3", head(f"POST {EMBED} HTTP/1.1", "Content-Length: 1e3"), REFUSED),
    ("a length of 2^64", head(f"POST {EMBED} HTTP/1.1", f"Content-Length: {2**64}"), REFUSED | TOO_LARGE),
    ("a length of 5,000 digits", head(f"POST {EMBED} HTTP/1.1", "Content-Length: " + "9" * 5000), REFUSED | TOO_LARGE),
    ("two lengths", head(f"POST {EMBED} HTTP/1.1", "Content-Length: 3", "Content-Length: 4") + b"abcd", REFUSED),
    ("a length twice in one", head(f"POST {EMBED} HTTP/1.1", "Content-Length: 3, 3") + b"abc", REFUSED),
    ("a length and chunks", chunked(one_chunk(b"abc"), "Content-Length: 3"), REFUSED),
    (
        "chunks and a length",
        head(f"POST {EMBED} HTTP/1.1", "Content-Length: 30", "Transfer-Encoding: chunked") + one_chunk(b"abc"),
        REFUSED,
    ),
    ("chunks twice", chunked(one_chunk(b"abc"), "Transfer-Encoding: chunked"), REFUSED | frozenset({415})),
    ("an encoding that is unknown", head(f"POST {EMBED} HTTP/1.1", "Transfer-Encoding: gzip") + b"abc", REFUSED),
    (
        "an encoding after chunks",
        head(f"POST {EMBED} HTTP/1.1", "Transfer-Encoding: chunked, identity") + one_chunk(b"abc"),
        REFUSED,
    ),
    (
        "an encoding that hides",
        head(f"POST {EMBED} HTTP/1.1", "Transfer-Encoding: xchunked", "Content-Length: 3") + b"abc",
        REFUSED,
    ),
    ("chunks in HTTP/1.0", head(f"POST {EMBED} HTTP/1.0", "Transfer-Encoding: chunked") + one_chunk(b"abc"), REFUSED),
    ("a size of a chunk that is x", chunked(b"xyz\r\nabc\r\n0\r\n\r\n"), REFUSED),
    ("a size of a chunk of -1", chunked(b"-1\r\nabc\r\n0\r\n\r\n"), REFUSED),
    ("a size of a chunk of 2^64", chunked(b"f" * 17 + b"\r\nabc"), REFUSED | TOO_LARGE),
    ("a size of a chunk of 5,000 digits", chunked(b"1" * 5000 + b"\r\nabc"), REFUSED | TOO_LARGE),
    (
        "an extension of a chunk of 1 MB",
        chunked(b"1;" + b"a" * 1_000_000 + b"\r\nx\r\n0\r\n\r\n"),
        REFUSED | frozenset({415}),
    ),
    (
        "a trailer of 1 MB",
        chunked(b"1\r\nx\r\n0\r\nA: " + b"b" * 1_000_000 + b"\r\n\r\n"),
        REFUSED | HEAD_TOO_LARGE | frozenset({415}),
    ),
    ("200,000 chunks of a byte", chunked(b"1\r\nx\r\n" * 200_000 + b"0\r\n\r\n"), REFUSED | frozenset({415})),
    ("no end of a chunk", chunked(b"3\r\nabcX0\r\n\r\n"), REFUSED),
]
CUT = [
    ("nothing", b"", REFUSED),
    ("half a request line", b"GET /hea", REFUSED),
    ("half a head", b"GET /health HTTP/1.1\r\nHos", REFUSED),
    ("half a body", post(small_png())[:-50], REFUSED),
    ("no body", post(small_png())[: -len(small_png())], REFUSED),
    ("half a chunk", chunked(b"ff\r\nabc"), REFUSED),
    ("no last chunk", chunked(b"3\r\nabc\r\n"), REFUSED),
]

CASES = [
    *(
        Case(f"HTTP / {name}", partial(raw, data), statuses, outside=True, half_close=True)
        for name, data, statuses in BROKEN
    ),
    *(
        Case(f"HTTP that ends / {name}", partial(raw, data), statuses, outside=True, half_close=True)
        for name, data, statuses in CUT
    ),
    *(
        Case(f"body / {name}", partial(raw, data), statuses)
        for name, data, statuses in (
            ("empty", post(b""), BAD),
            ("in one chunk", chunked(one_chunk(small_png())), OK),
            ("in chunks of JSON", chunked(one_chunk(b"{}"), f"Content-Type: {JSON}", path=OPENAI), BAD),
            ("no chunks", chunked(b"0\r\n\r\n"), BAD),
            ("of GET", request("GET", "/health", b"x" * 100_000), OK | BAD),
            ("said to be 65 MB", head(f"POST {EMBED} HTTP/1.1", "Content-Length: 65000000"), TOO_LARGE),
            ("more than its length", post(small_png()) + b"x" * 5000, OK),
            ("two requests", post(small_png()) + post(small_png()), OK),
            ("5,000 requests", request("GET", "/health") * 5000, OK),
        )
    ),
]
