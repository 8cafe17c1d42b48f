"""What `ijepa` raises. Everything that a user can fix derives from `IJEPAError`; `models.errors` has the whole tree."""

from models.errors import (
    BrokenImageError,
    BundleError,
    ConfigError,
    DataError,
    IJEPAError,
    ImageError,
    NotAnImageError,
    OptionError,
    RegionError,
    RuntimeFailure,
)

__all__ = [
    "APIConnectionError",
    "APIError",
    "BrokenImageError",
    "BundleError",
    "ConfigError",
    "DataError",
    "IJEPAError",
    "ImageError",
    "NotAnImageError",
    "OptionError",
    "RegionError",
    "RuntimeFailure",
]


class APIConnectionError(IJEPAError):
    """The server cannot be reached, or did not answer in time."""


class APIError(IJEPAError):
    """A server's error. `code`, `type` and `param` are those of its answer (`code` is `unknown` where it has none).

    `request_id` finds the request in the server's log; None where the answer has none.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "unknown",
        type: str | None = None,  # noqa: A002 -- OpenAI's name
        param: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.type, self.param, self.request_id = status, code, type, param, request_id
