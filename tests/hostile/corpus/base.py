"""A hostile request and what its reply must be like."""

import base64
import re
from collections.abc import Callable
from typing import NamedTuple

from tests.hostile.client import CLOSED, NO_REPLY, Reply
from tests.hostile.images.base import encoded, noise

BAD = frozenset({400})
OK = frozenset({200})
FIELDS = {"message", "type", "param", "code"}
MAX_MESSAGE = 2_000
"""Characters of an error's message: each of a client's strings in it has at most 200."""
MAX_SECONDS = 20.0
"""Of one request alone; the limit on the time of decoding is 10."""


class Case(NamedTuple):
    """A request and the statuses that it may have. `outside`: HTTP itself is broken, and the reply may lack a request id.

    `half_close`: after the request the client says that it sends no more.
    """

    name: str
    request: Callable[[], bytes]
    statuses: frozenset[int]
    slow: bool = False
    outside: bool = False
    half_close: bool = False


def small_png() -> bytes:
    """An ordinary image."""
    return encoded(noise(), "PNG")


def text_of(data: bytes) -> str:
    """As base64."""
    return base64.b64encode(data).decode()


def problems_of(reply: Reply, statuses: frozenset[int], *, outside: bool = False) -> list[str]:
    """What is wrong with a reply, whatever was asked: a sentence each."""
    found = []
    if reply.status not in statuses:
        found.append(f"{reply.status} is not among {sorted(statuses)}: {reply.body[:300]!r}")
    if reply.seconds > MAX_SECONDS:
        found.append(f"it took {reply.seconds:.1f} s")
    if reply.status in (CLOSED, NO_REPLY):
        return found
    if b"Traceback" in reply.body:
        found.append("a traceback is in the body")
    if not outside and "x-request-id" not in reply.headers:
        found.append("x-request-id is missing")
    if reply.status >= 400 and reply.body:
        found += _problems_of_error(reply)
    return found


def _problems_of_error(reply: Reply) -> list[str]:
    try:
        error = reply.json()["error"]
    except (ValueError, KeyError, TypeError):
        return [f"an error that is not in the one shape: {reply.body[:300]!r}"]
    if isinstance(error, str):
        return []  # that of /v2
    found = []
    if set(error) != FIELDS or not error["message"]:
        found.append(f"the fields of an error are {sorted(error)}")
    elif len(error["message"]) > MAX_MESSAGE:
        found.append(f"a message of {len(error['message'])} characters")
    waiting = reply.headers.get("retry-after", "")
    if reply.status in (429, 503) and not (re.fullmatch(r"\d{1,3}", waiting) and 1 <= int(waiting) <= 120):
        found.append(f"retry-after is {waiting!r}")
    return found
