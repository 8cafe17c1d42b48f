"""Forms that are cut, that lie, or that have too much of something."""

from functools import partial

from tests.hostile.client import EMBED, post
from tests.hostile.corpus.base import BAD, OK, Case, small_png, text_of
from tests.hostile.corpus.images import form

LARGE = frozenset({413})
TYPE = frozenset({415})


def forms() -> list[tuple[str, bytes, str, frozenset[int]]]:
    """Bodies and boundaries."""
    png = small_png()
    return [
        ("no boundary", form(("file", png)), "", BAD),
        ("an empty boundary", form(("file", png)), "; boundary=", BAD),
        ("another boundary", form(("file", png)), "; boundary=c", BAD),
        ("a boundary of 5 kB", form(("file", png), boundary="b" * 5000), "; boundary=" + "b" * 5000, BAD),
        ("a boundary in quotation marks", form(("file", png)), '; boundary="b"', OK),
        ("two boundaries", form(("file", png)), "; boundary=b; boundary=c", OK | BAD),
        ("a boundary that is not ASCII", form(("file", png)), "; boundary=\xe9", BAD),
        ("nothing", b"", "; boundary=b", BAD),
        ("only its end", b"--b--\r\n", "; boundary=b", BAD),
        ("no end", form(("file", png))[:-6], "; boundary=b", BAD),
        ("half of it", form(("file", png))[:200], "; boundary=b", BAD),
        ("headers without end", b"--b\r\n" + b"A: b\r\n" * 100_000, "; boundary=b", BAD),
        ("a header of 1 MB", b"--b\r\nA: " + b"b" * 1_000_000 + b"\r\n\r\nx\r\n--b--\r\n", "; boundary=b", BAD),
        ("no headers", b"--b\r\n\r\n" + png + b"\r\n--b--\r\n", "; boundary=b", BAD),
        ("no name", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", "; boundary=b", BAD),
        ("another name", form(("photo", png)), "; boundary=b", BAD),
        ("a name of 3 kB", form(("n" * 3000, png)), "; boundary=b", BAD),
        ("a name with a null character", form(("fi\0le", png)), "; boundary=b", BAD),
        ("a name of quotation marks", form(('"' * 500, png)), "; boundary=b", BAD),
        ("40 files", form(*[("file", png)] * 40), "; boundary=b", LARGE),
        ("100,000 files", form(*[("file", b"")] * 100_000), "; boundary=b", LARGE),
        ("32 files that are empty", form(*[("file", b"")] * 32), "; boundary=b", BAD | TYPE),
        ("1,000,000 boundaries", b"--b\r\n" * 1_000_000, "; boundary=b", BAD | LARGE),
        ("line breaks", b"\r\n" * 1_000_000, "; boundary=b", BAD),
        ("nested", form(("file", form(("file", png)))), "; boundary=b", BAD | TYPE),
        (
            "a part in base64",
            b'--b\r\nContent-Disposition: form-data; name="file"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
            + text_of(png).encode()
            + b"\r\n--b--\r\n",
            "; boundary=b",
            OK | TYPE,
        ),
        ("request alone", form(("request", b"{}")), "; boundary=b", BAD),
        ("request that is not JSON", form(("file", png), ("request", b"{")), "; boundary=b", BAD),
        ("request of a list", form(("file", png), ("request", b"[]")), "; boundary=b", BAD),
        (
            "request twice",
            form(("file", png), ("request", b'{"fit": "crop"}'), ("request", b"{}")),
            "; boundary=b",
            OK | BAD,
        ),
        ("a charset", form(("file", png)), "; boundary=b; charset=punycode", OK),
        ("a charset of rubbish", form(("file", png)), "; boundary=b; charset=\xff\xfe", OK | BAD),
        ("rubbish before it", b"x" * 5000 + b"\r\n" + form(("file", png)), "; boundary=b", OK | BAD),
        ("rubbish after it", form(("file", png)) + b"x" * 5000, "; boundary=b", OK | BAD),
        ("line feeds alone", form(("file", png)).replace(b"\r\n", b"\n"), "; boundary=b", BAD),
    ]


def as_request(body: bytes, tail: str) -> bytes:
    """`tail`: what follows the content type."""
    return post(body, EMBED, f"multipart/form-data{tail}")


CASES = [Case(f"form / {name}", partial(as_request, body, tail), statuses) for name, body, tail, statuses in forms()]
