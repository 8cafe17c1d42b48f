"""Base64 from clients: data URLs and bare text, line-wrapped and URL-safe as well."""

import binascii
import re

from service.errors import BodyTooLarge, InvalidRequest

DATA_URL = re.compile(r"data:[^,]*?;base64,", re.ASCII)

MAX_PREFIX = 200
"""Characters in which a data URL's prefix must end."""

_STANDARD = bytes.maketrans(b"-_", b"+/")
_LINE_BREAKS = b"\r\n"
_ESCAPES = tuple(
    (escape.encode(), character)
    for character, escapes in {
        b"": r"\n \r",
        b"+": r"\u002b \u002B",
        b"/": r"\/ \u002f \u002F",
        b"=": r"\u003d \u003D",
    }.items()
    for escape in escapes.split()
)
"""What JSON writers escape in it."""


def from_base64(text: object, param: str, max_bytes: int, what: str = "an image") -> bytes:
    """The bytes of a data URL or of bare base64; a `memoryview` is of a string as it is in JSON, with its escapes.

    Raises:
        InvalidRequest: neither.
        BodyTooLarge: certainly more than `max_bytes`, whatever line breaks and escapes are in it.
    """
    if not isinstance(text, str | memoryview):
        raise InvalidRequest(f"{param} must be a data URL or base64, not {type(text).__name__}", param)
    head = text[:MAX_PREFIX] if isinstance(text, str) else bytes(text[:MAX_PREFIX]).decode("latin-1")
    if head.startswith(("http://", "https://")):
        raise InvalidRequest(f"{param} is a web address; this server fetches no URLs, send {what} itself", param)
    if not head:
        raise InvalidRequest(f"{param} is empty; send a data URL or base64 of {what}", param)
    if len(text) > 2 * max_bytes + MAX_PREFIX:
        raise BodyTooLarge(f"{what} may have {max_bytes:,} bytes, the base64 of this one has {len(text):,}", param)
    found = DATA_URL.match(head)
    encoded = text[found.end() :] if found else text
    try:
        try:
            return binascii.a2b_base64(encoded, strict_mode=True)
        except ValueError:
            return _from_other_forms(encoded.encode() if isinstance(encoded, str) else bytes(encoded))
    except ValueError as error:
        reason = str(error) if isinstance(error, binascii.Error) else "other characters are in it"
        raise InvalidRequest(f"{param} is neither a data URL nor base64: {reason}", param) from error


def _from_other_forms(encoded: bytes) -> bytes:
    """Base64 with line breaks, with `-` and `_`, without padding, or with characters that JSON writers escape.

    Raises:
        ValueError
    """
    encoded = encoded.translate(_STANDARD, _LINE_BREAKS)
    if b"\\" in encoded:
        for escape, character in _ESCAPES:
            encoded = encoded.replace(escape, character)
    return binascii.a2b_base64(encoded + b"=" * (-len(encoded) % 4), strict_mode=True)
