"""Calls of remote stores through fsspec, with a time limit, a bounded number of attempts, and errors as `DataError`."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import fsspec
from fsspec.spec import AbstractFileSystem

from models.errors import DataError, StoreError, first_line

TIMEOUT_S = 30.0
"""Of one attempt that reads little."""
LIST_TIMEOUT_S = 300.0
"""Of one attempt to list a folder with everything below it."""
MIN_BYTES_PER_S = 1_000_000
"""A read of many bytes has `TIMEOUT_S` and the time that it takes at this rate."""
ATTEMPTS = 3
PAUSE_S = 0.5
"""Before the second attempt; twice as long before each further one."""

MAX_URL_CHARACTERS = 8192

PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "adlfs"),
    **dict.fromkeys(("http", "https"), "aiohttp"),
}
"""What reads a scheme, where fsspec itself does not."""
PERMANENT = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    TypeError,
    ValueError,
)
"""Errors that another attempt would raise again."""
REPEATABLE_STATUSES = (408, 425, 429)
"""HTTP statuses below 500 after which a request may succeed."""

Result = TypeVar("Result")


def call(url: str, operation: Callable[[AbstractFileSystem, str], Result], seconds: float | None = None) -> Result:
    """The result of an operation that takes the store and the path in it. `seconds` (`TIMEOUT_S`) limits one attempt.

    An attempt that takes longer is left behind in its thread.

    Raises:
        DataError: the store is unknown or needs a package, it has no such file, or it may not be read.
        StoreError: the last attempt failed too.
    """
    store, path = open_store(url)
    limit, problem = TIMEOUT_S if seconds is None else seconds, ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_S * 2 ** (attempt - 1))
        try:
            return _within(limit, lambda: operation(store, path))
        except _OutOfTimeError:
            problem = f"no answer within {limit:.0f} s"
        except Exception as error:
            problem = reason_of(error)
            if is_permanent(error):
                raise DataError(f"{shown(url)} cannot be read: {problem}") from error
    raise StoreError(f"{shown(url)} cannot be read: {problem} (tried {ATTEMPTS} times)")


def open_store(url: str) -> tuple[AbstractFileSystem, str]:
    """The store of a URL and the path in it. fsspec keeps stores, one a process and, where they need it, a thread.

    Raises:
        DataError: the store is unknown, needs a package, or cannot be opened; or the URL has a password.
    """
    scheme = url.partition("://")[0]
    if "::" in url:
        raise DataError(f"{shown(url)}: chained URLs (::) are not supported; give the URL of the store itself")
    if ":" in urlsplit(url).netloc.rpartition("@")[0]:
        raise DataError(
            f"{shown(url)} has a password in it, which would be kept with the results; set it in the environment or in "
            "fsspec's configuration"
        )
    try:
        store, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = PACKAGES.get(scheme, "")
        remedy = f"pip install {package}" if package else reason_of(error)
        raise DataError(f"{scheme}:// needs a package that is not installed: {remedy}") from error
    except Exception as error:
        raise DataError(f"{shown(url)} cannot be opened: {reason_of(error)}") from error
    return store, str(path)


def shown(url: str) -> str:
    """A URL for messages: without user name, password and query, which may be secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def reason_of(error: BaseException) -> str:
    """What an error says, in one line."""
    return "there is no such file" if isinstance(error, FileNotFoundError) else first_line(error)


def is_permanent(error: Exception) -> bool:
    """Whether another attempt would fail in the same way."""
    response: Any = getattr(error, "response", None)
    status = getattr(error, "status", None) or getattr(response, "status_code", None)
    if isinstance(status, int) and 400 <= status < 500:
        return status not in REPEATABLE_STATUSES
    return isinstance(error, PERMANENT)


class _OutOfTimeError(Exception):
    pass


def _within(seconds: float, operation: Callable[[], Result]) -> Result:
    """The result of an operation, or `_OutOfTimeError`. It runs in a daemon thread, which nothing can stop."""
    results: list[Result] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            results.append(operation())
        except Exception as error:  # noqa: BLE001 -- raised again below
            errors.append(error)

    thread = threading.Thread(target=work, name="storage", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise _OutOfTimeError
    return results[0]
