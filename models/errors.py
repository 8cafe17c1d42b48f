"""Errors of the user, as exceptions. Our own mistakes are asserts.

IJEPAError                 anything the user can fix; the message says what was given, what was expected, what to do
├── ConfigError            a setting that is invalid, or contradicts another
│   └── UsageError         arguments of a command that do not go together; the command exits with 2
├── CheckpointError        a checkpoint that is missing, broken or made for another network
├── ImporterError          foreign weights that cannot become a checkpoint
├── HubError               the Hugging Face hub cannot give or take what was asked
├── BundleError            a bundle that is missing, broken, altered or too new
├── RuntimeFailure         a runtime could not compute a graph
├── ExportError            an export that would not reproduce the checkpoint
├── DataError              images that cannot be found or read
│   └── StoreError         a store (S3, the hub, a web server) that does not answer, or answers with errors
├── ImageError             one image that cannot be used
│   ├── ImageBytesError    more bytes than allowed
│   ├── ImagePixelsError   more pixels than allowed, read from the header
│   ├── NotAnImageError    bytes in no format on the list
│   └── BrokenImageError   a known format that cannot be decoded
├── OptionError            an option, or a value of one, that a bundle does not have
└── RegionError            a region of an image that cannot be used; `.reason` says why, `.param` which
"""

from pydantic import ValidationError


class IJEPAError(Exception):
    """The base of every error that a user can fix."""


class ConfigError(IJEPAError):
    """A setting that is invalid, or contradicts another."""


class UsageError(ConfigError):
    """Arguments of a command that do not go together."""


class CheckpointError(IJEPAError):
    """A checkpoint that is missing, broken or made for another network."""


class ImporterError(IJEPAError):
    """Foreign weights that cannot become a checkpoint."""


class HubError(IJEPAError):
    """The Hugging Face hub cannot give or take what was asked."""


class BundleError(IJEPAError):
    """A bundle that is missing, broken, altered or too new."""


class RuntimeFailure(IJEPAError):
    """A runtime could not compute a graph: out of memory, for example."""


class ExportError(IJEPAError):
    """An export whose outputs differ from the checkpoint's."""


class DataError(IJEPAError):
    """Images that cannot be found or read."""


class StoreError(DataError):
    """A store that does not answer, or answers with errors, after all attempts. It says nothing of the image that was asked for."""


class ImageError(IJEPAError):
    """One image that cannot be used."""


class ImageBytesError(ImageError):
    """An image with more bytes than allowed."""


class ImagePixelsError(ImageError):
    """An image with more pixels than allowed, read from its header before anything is decoded."""


class NotAnImageError(ImageError):
    """Bytes that are in no image format on the list."""


class BrokenImageError(ImageError):
    """A known format that cannot be decoded."""


class OptionError(IJEPAError):
    """An option, or a value of one, that a bundle does not have. `option` is its name."""

    def __init__(self, message: str, option: str) -> None:
        super().__init__(message)
        self.option = option


class RegionError(IJEPAError):
    """A region that cannot be used.

    `reason` is `malformed` (invalid on any image), `too_large` (a mask), `outside`, `empty`, `cut_away` (by the crop)
    or `no_context` (nothing would be left to predict from). `param` is its place in the request, where that is known.
    """

    def __init__(self, message: str, reason: str, param: str | None = None) -> None:
        super().__init__(message)
        self.reason, self.param = reason, param


def field_path(location: tuple[int | str, ...]) -> str:
    """A pydantic location as `targets[0].box`."""
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name


def validation_sentence(error: ValidationError, *, with_input: bool = False) -> str:
    """The first problem of a validation error as `field: what is wrong`, optionally with the value that was given."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    where = field_path(first["loc"])
    given = f"={short_repr(first['input'])}" if with_input and where else ""
    return f"{where}{given}: {message}" if where else message


def first_line(error: BaseException) -> str:
    """The first line of what an error says, at most 300 characters; its type where it says nothing."""
    text = str(error).strip().splitlines()
    return text[0][:300] if text else type(error).__name__


def short_repr(value: object, limit: int = 60) -> str:
    """A value in an error message: one line of at most `limit` characters; never an exception (a value may be nested too deep)."""
    try:
        text = " ".join(repr(value).split())
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
