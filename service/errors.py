"""Errors of a request, and the table that gives the errors of `models` their status and code.

Each class carries its status, its code and OpenAI's type of error.

ServiceError
├── InvalidRequest            400 bad_request
│   └── UnsupportedOption     400 unsupported_option
├── Forbidden                 403 forbidden            a host or an origin that is not allowed
├── NotFound                  404 not_found
│   └── ModelNotFound         404 model_not_found
├── MethodNotAllowed          405 method_not_allowed
├── NotAcceptable             406 not_acceptable
├── RequestTimeout            408 request_timeout      the body did not arrive in time
├── TooLarge                  413
│   ├── BodyTooLarge              body_too_large
│   ├── TooManyImages             too_many_images
│   └── ImageTooLarge             image_too_large      pixels, told from the header
├── UnsupportedMediaType      415 unsupported_media_type
├── Unprocessable             422
│   ├── InvalidImage              invalid_image
│   └── InvalidRegion             invalid_region
├── Overloaded                429 overloaded           with the seconds after which to try again
├── Internal                  500 internal
├── NotReady                  503 not_ready
│   └── Draining              503 draining
└── DeadlineExceeded          504 deadline_exceeded
"""

import math
from typing import Any, ClassVar

from models.errors import (
    BrokenImageError,
    IJEPAError,
    ImageBytesError,
    ImagePixelsError,
    NotAnImageError,
    OptionError,
    RegionError,
)


class ServiceError(IJEPAError):
    """The base. `param` is the part of the request that is at fault, as `input[3]` or `targets[0]`."""

    status = 500
    code = "internal"
    type = "server_error"

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message, self.param = message, param

    def body(self) -> dict[str, Any]:
        """The one shape that every error has."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """Headers that go with the error."""
        return {}


class InvalidRequest(ServiceError):
    """A body or option that cannot mean anything."""

    status, code, type = 400, "bad_request", "invalid_request_error"


class UnsupportedOption(InvalidRequest):
    """An option or value that this server or bundle does not have."""

    code = "unsupported_option"


class Forbidden(ServiceError):
    """The request calls the server by a name that is not allowed, or a page of another site sent it."""

    status, code, type = 403, "forbidden", "permission_error"


class NotFound(ServiceError):
    """No such path."""

    status, code, type = 404, "not_found", "not_found_error"


class ModelNotFound(NotFound):
    """No such model is loaded."""

    code = "model_not_found"


class MethodNotAllowed(ServiceError):
    """The path exists for other methods."""

    status, code, type = 405, "method_not_allowed", "invalid_request_error"

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message)
        self.allowed = allowed

    def headers(self) -> dict[str, str]:
        """The methods that it takes."""
        return {"allow": self.allowed}


class NotAcceptable(ServiceError):
    """None of the media types that the client accepts is one of ours."""

    status, code, type = 406, "not_acceptable", "invalid_request_error"


class RequestTimeout(ServiceError):
    """The body did not arrive in time."""

    status, code, type = 408, "request_timeout", "invalid_request_error"


class TooLarge(ServiceError):
    """Something is over a limit; the message has the limit and the value."""

    status, code, type = 413, "body_too_large", "invalid_request_error"


class BodyTooLarge(TooLarge):
    """Bytes of the body, or of one image."""


class TooManyImages(TooLarge):
    """Images in one request."""

    code = "too_many_images"


class ImageTooLarge(TooLarge):
    """Pixels of one image, told from its header before anything is decoded."""

    code = "image_too_large"


class UnsupportedMediaType(ServiceError):
    """Bytes that are not of an image format on the allow-list."""

    status, code, type = 415, "unsupported_media_type", "invalid_request_error"


class InvalidImage(ServiceError):
    """A known format that cannot be decoded."""

    status, code, type = 422, "invalid_image", "invalid_request_error"


class InvalidRegion(ServiceError):
    """A region outside the image, empty, or leaving no context."""

    status, code, type = 422, "invalid_region", "invalid_request_error"


class Overloaded(ServiceError):
    """More work is waiting than the server may queue."""

    MAX_RETRY_AFTER: ClassVar[int] = 120
    status, code, type = 429, "overloaded", "rate_limit_error"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = min(self.MAX_RETRY_AFTER, max(1, math.ceil(retry_after)))

    def headers(self) -> dict[str, str]:
        """Whole seconds, 1 to 120."""
        return {"retry-after": str(self.retry_after)}


class Internal(ServiceError):
    """Our own fault."""


class NotReady(ServiceError):
    """The model is loading, or did not pass its check."""

    status, code = 503, "not_ready"

    def headers(self) -> dict[str, str]:
        """A second: another server may be ready, and this one soon."""
        return {"retry-after": "1"}


class Draining(NotReady):
    """The server is about to stop."""

    code = "draining"


class DeadlineExceeded(ServiceError):
    """The request waited too long."""

    status, code = 504, "deadline_exceeded"


def all_errors() -> list[type[ServiceError]]:
    """Every class of the tree, for documentation and metrics."""
    found, todo = [], [ServiceError]
    while todo:
        cls = todo.pop()
        found.append(cls)
        todo += cls.__subclasses__()
    return found


TRANSLATIONS: dict[type[IJEPAError], type[ServiceError]] = {
    ImageBytesError: BodyTooLarge,
    ImagePixelsError: ImageTooLarge,
    NotAnImageError: UnsupportedMediaType,
    BrokenImageError: InvalidImage,
    OptionError: UnsupportedOption,
    RegionError: InvalidRegion,
}
"""What an error of `models` is in an answer and in a job's rows."""

REGION_REASONS: dict[str, type[ServiceError]] = {"malformed": InvalidRequest, "too_large": ImageTooLarge}
"""Reasons for which a `RegionError` is not an `InvalidRegion`."""


def translate(error: IJEPAError, param: str | None = None) -> IJEPAError:
    """An error of `models` as one of a request, at the part of the request that is at fault; any other as it is."""
    if isinstance(error, RegionError):
        return REGION_REASONS.get(error.reason, InvalidRegion)(str(error), error.param or param)
    if isinstance(error, OptionError):
        return UnsupportedOption(str(error), error.option)
    kind = TRANSLATIONS.get(type(error))
    return kind(str(error), param) if kind else error
