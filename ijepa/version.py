"""The version of this installation."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of


def version() -> str:
    """As the package's metadata says; `unknown` where the code was not installed."""
    try:
        return version_of("ijepa-features")
    except PackageNotFoundError:
        return "unknown"
