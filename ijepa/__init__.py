"""Image features of an I-JEPA network, and predictions of hidden regions, from Python.

    import ijepa

    model = ijepa.load("fashion-mnist-nano")        # or a folder with a bundle
    vectors = model.embed(["cat.jpg", "dog.jpg"])   # [2, D]

`ijepa.Client(url)` and `ijepa.AsyncClient(url)` have the same methods for a server. Nothing here imports torch, and a name is
imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ijepa.packages import load_packages

load_packages()

if TYPE_CHECKING:
    from ijepa import errors
    from ijepa.client import AsyncClient, Client
    from ijepa.errors import APIConnectionError, APIError, IJEPAError
    from ijepa.images import ImageInput, ImageInputs
    from ijepa.model import Model, load
    from ijepa.regions import RegionInput
    from ijepa.results import Energy, Prediction, Target

    __version__: str

__all__ = [
    "APIConnectionError",
    "APIError",
    "AsyncClient",
    "Client",
    "Energy",
    "IJEPAError",
    "ImageInput",
    "ImageInputs",
    "Model",
    "Prediction",
    "RegionInput",
    "Target",
    "errors",
    "load",
]

_MODULES = {
    "APIConnectionError": "ijepa.errors",
    "APIError": "ijepa.errors",
    "AsyncClient": "ijepa.client",
    "Client": "ijepa.client",
    "Energy": "ijepa.results",
    "IJEPAError": "ijepa.errors",
    "ImageInput": "ijepa.images",
    "ImageInputs": "ijepa.images",
    "Model": "ijepa.model",
    "Prediction": "ijepa.results",
    "RegionInput": "ijepa.regions",
    "Target": "ijepa.results",
    "load": "ijepa.model",
}
"""Where each name lives."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from ijepa.version import version

        return version()
    if name == "errors":
        return importlib.import_module("ijepa.errors")
    if name not in _MODULES:
        raise AttributeError(f"module 'ijepa' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__", "errors"]
