"""What a browser can be made to do with this server: the names that requests may call it by, and what its pages may load."""

import base64
import hashlib
import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from models.errors import short_repr
from service.errors import Forbidden

NOSNIFF = (b"x-content-type-options", b"nosniff")

OPEN_PATHS = frozenset({"/health", "/health/live", "/health/ready"})
"""Whoever watches a server calls it by its address, and learns nothing here."""

MAX_NAME = 255
"""Characters of a host and port that are looked at."""


class AllowedHosts:
    """The names by which requests may call this server, and those of the sites whose pages may send requests.

    A page of another site can have a browser ask a server that only this machine reaches: by its address, in which case the
    request has the page's origin, or by a name of the page's own that it lets point to this machine (DNS rebinding), in which
    case it has that name. So a server on a loopback address has only the names of loopback addresses, unless others are given.
    """

    def __init__(self, host: str, names: Iterable[str]) -> None:
        self._names = frozenset(name.lower() for name in names)
        self._loopback = not self._names and is_loopback(host)
        self._permits = lru_cache(128)(self._look)

    @property
    def any(self) -> bool:
        """Whether every name is allowed."""
        return not self._loopback and (not self._names or "*" in self._names)

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """The headers of a request.

        Raises:
            Forbidden: it calls the server by another name, or a page of another site sent it.
        """
        for name, value in headers:
            if name == b"host" and not self._permits(value):
                raise Forbidden(f"this server does not answer to the host {_quoted(value)}; see IJEPA_ALLOWED_HOSTS")
            if name == b"origin" and not self._permits(value.partition(b"://")[2]):
                raise Forbidden(f"pages of {_quoted(value)} may not use this server; see IJEPA_ALLOWED_HOSTS")

    def _look(self, authority: bytes) -> bool:
        """Of a host with or without a port; of nothing, False."""
        if len(authority) > MAX_NAME:
            return False
        name = host_of(authority.decode("latin-1"))
        return name in self._names or (self._loopback and is_loopback(name))


class CheckHost:
    """Requests that call the server by a name that is not allowed are answered with 403."""

    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
        self.app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            self._hosts.check(scope["headers"])
        await self.app(scope, receive, send)


def host_of(authority: str) -> str:
    """Without the port and the brackets around an IPv6 address."""
    name = authority[1:].partition("]")[0] if authority.startswith("[") else authority.partition(":")[0]
    return name.lower().removesuffix(".")


def is_loopback(name: str) -> bool:
    """Whether a name or an address is always of this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


SCRIPTS = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def page_policy(own_page: str = "") -> str:
    """Content-Security-Policy of a page: files of this server, and the scripts that are written in `own_page`.

    `own_page` must have nothing in it that came from elsewhere.
    """
    hashes = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in SCRIPTS.findall(own_page)
    ]
    scripts = " ".join(["'self'", *(f"'sha256-{each}'" for each in hashes)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _quoted(value: bytes) -> str:
    return short_repr(value.decode("latin-1"), 200)
