"""Bodies of about 62 MB that are made to cost much. As a program: what becomes of one, in how many seconds and how much memory.

python -m tests.service.api.large_bodies NAME [form]
"""

import json
import os
import resource
import sys
import time


def two(text: bytes) -> bytes:
    """A request with two images."""
    return b'{"input":["' + text + b'","' + text + b'"]}'


BODIES = {
    "unknown options": lambda: b"{" + b",".join(b'"o%07d":1' % i for i in range(5_000_000)) + b"}",
    "lists": lambda: b'{"input":[' + b"[]," * 20_000_000 + b"[]]}",
    "numbers": lambda: b'{"input":[' + b"1," * 31_000_000 + b"1]}",
    "objects in each other": lambda: b'{"a":' * 12_000_000,
    "lists in each other": lambda: b"[" * 62_000_000,
    "empty strings": lambda: b'{"input":[' + b'"",' * 20_000_000 + b'""]}',
    "escaped quotation marks": lambda: b'{"input":"' + b'\\"' * 31_000_000 + b'"}',
    "backslashes": lambda: b'{"input":"' + b"\\" * 62_000_000 + b'"}',
    "one long number": lambda: b'{"input":' + b"1" * 62_000_000 + b"}",
    "spaces": lambda: b" " * 62_000_000,
    "a wide option": lambda: b'{"input":"aGk=","user":"\xf0\x9f\x98\x80' + b"a" * 62_000_000 + b'"}',
    "a long name": lambda: b'{"' + b"a" * 62_000_000 + b'":1}',
    "one long image": lambda: b'{"input":"' + b"AAAA" * 15_500_000 + b'"}',
    "images": lambda: two(b"AAAA" * 7_750_000),
    "images in short lines": lambda: two(b"AAAA\\n" * 5_000_000),
    "images with escapes": lambda: two(b"AAA\\u002B" * 3_400_000),
    "images with wide characters": lambda: two(b"\xf0\x9f\x98\x80" + b"a" * 31_000_000),
    "images with wide escapes": lambda: two(b"\\ud83d\\ude00" + b"a" * 31_000_000),
}

ANSWERS = {
    "a wide option": "read",
    "one long image": "body_too_large",
    "backslashes": "body_too_large",
    "images": "read",
    "images in short lines": "read",
    "images with escapes": "read",
}
"""What becomes of those that are not bad requests. What is read is refused afterwards: the image is too large, the option too long."""

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b\r\n'
    b'Content-Disposition: form-data; name="request"\r\n\r\n%b\r\n--b--\r\n'
)


def peak() -> int:
    """The most memory that this process ever had, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    from service.api.body import Body
    from service.api.parsing import _from_form, _from_json
    from service.errors import ServiceError
    from service.settings import Settings

    as_form = "form" in sys.argv[2:]
    content = BODIES[sys.argv[1]]()
    body = Body([FORM % content if as_form else content], len(content))
    del content
    if os.fork():  # the child's peak begins at what it holds
        sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
    before, start = peak(), time.monotonic()
    try:
        if as_form:
            _from_form(body, "multipart/form-data; boundary=b", Settings())
        else:
            _from_json(body, "input", Settings())
        answer = "read"
    except ServiceError as error:
        answer = error.code
        if len(error.message) > 500:
            answer = f"a message of {len(error.message)} characters"
    seconds = time.monotonic() - start
    print(json.dumps([answer, seconds, max(0, peak() - before) / body.size]))


if __name__ == "__main__":
    main()
