"""Features and scores that were computed before, kept by the content of all that they depend on.

A key is a digest of the pictures, the network, the code that computes and the libraries it uses; a change in any of them is
another key. The oldest files go when the folder grows past `LIMIT` bytes.
"""

import hashlib
import json
import os
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

import models
from models.files import whole_file, write_whole

LIMIT = 4 * 2**30
LIBRARIES = ("numpy", "scikit-learn", "torch", "timm", "onnxruntime", "pillow")


class Cache:
    """A folder of results; `None` keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def arrays(self, of: list[str], make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Arrays by name: what was kept for these parts of a key, or made now."""
        if self.folder is None:
            return make()
        path = self.folder / f"{digest(*of)}.safetensors"
        try:
            arrays = load_file(path)
            os.utime(path)
        except (OSError, SafetensorError):
            arrays = make()
            with whole_file(path) as temporary:
                save_file(arrays, temporary)
            self._shrink()
        return arrays

    def values(self, of: list[str], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A few numbers and words by name, likewise."""
        if self.folder is None:
            return make()
        path = self.folder / f"{digest(*of)}.json"
        try:
            kept: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError):
            kept = make()
            write_whole(path, json.dumps(kept))
        return kept

    def _shrink(self) -> None:
        assert self.folder is not None
        files = sorted(self.folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
        sizes = [path.stat().st_size for path in files]
        for path, excess in zip(files[:-1], np.cumsum(sizes[::-1])[::-1] - LIMIT, strict=False):
            if excess > 0:
                path.unlink(missing_ok=True)


def user_cache() -> Path:
    """Where the current user's results are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ijepa-features" / "probes"


def digest(*parts: str) -> str:
    """A key."""
    return hashlib.sha256("\n".join((*parts, _code())).encode()).hexdigest()[:32]


@cache
def _code() -> str:
    """What computes: the sources of the networks and the probes, and the versions of the libraries below them."""
    folders = (Path(models.__file__).parent, Path(__file__).parent)
    sources = [path.read_bytes() for folder in folders for path in sorted(folder.glob("*.py"))]
    return hashlib.sha256(b"".join(sources)).hexdigest() + str([version(name) for name in LIBRARIES])
