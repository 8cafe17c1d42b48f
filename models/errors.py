"""Mistakes of the user, as exceptions. Our own mistakes are asserts.

IJEPAError                 anything the user can mend; the message says what was given, what was expected, what to do
├── ConfigError            a setting that means nothing, or contradicts another
│   └── UsageError         arguments of a command that do not go together; it exits with 2
├── CheckpointError        a checkpoint that is missing, broken or made for another network
├── SourceError            foreign weights that cannot become a checkpoint of ours
├── HubError               the Hugging Face hub cannot give or take what was asked
├── BundleError            a bundle that is missing, broken, altered or too new
├── RuntimeFailure         ONNX Runtime could not compute a graph
├── ExportError            an export that would not give the numbers of the checkpoint
├── DataError              pictures that cannot be found or read
└── RegionError            a region of a picture that cannot be used; `.reason` says which way
"""


class IJEPAError(Exception):
    """The base of every error that a user can mend."""


class ConfigError(IJEPAError):
    """A setting that means nothing, or contradicts another."""


class UsageError(ConfigError):
    """Arguments of a command that do not go together."""


class CheckpointError(IJEPAError):
    """A checkpoint that is missing, broken or made for another network."""


class SourceError(IJEPAError):
    """Foreign weights that cannot become a checkpoint of ours."""


class HubError(IJEPAError):
    """The Hugging Face hub cannot give or take what was asked."""


class BundleError(IJEPAError):
    """A bundle that is missing, broken, altered or too new."""


class RuntimeFailure(IJEPAError):
    """ONNX Runtime could not compute a graph: out of memory, say."""


class ExportError(IJEPAError):
    """An export whose numbers differ from the checkpoint's."""


class DataError(IJEPAError):
    """Pictures that cannot be found or read."""


class RegionError(IJEPAError):
    """A region that cannot be used.

    `reason` is `malformed` (it means nothing on any picture), `outside`, `empty`, `cut_away` (by the crop)
    or `no_context` (nothing would be left to predict from).
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
