"""Features and scores that were computed before, kept by the content of all that they depend on.

A key is a digest of the images, the network, the code that computes and the libraries it uses; a change in any of them is
another key. The files that were not used for longest go when the folder grows past `MAX_BYTES` bytes.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from functools import cache as memoised
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import PIL
import scipy
import sklearn
import timm
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

import models
from models.io import cache_folder

log = logging.getLogger(__name__)

MAX_BYTES = 4 * 2**30
SOURCES = (
    "models/images",
    "models/network",
    "models/inference",
    "models/runtimes",
    "models/checkpoint",
    "models/config.py",
    "models/rng.py",
    "models/bundle/manifest.py",
    "models/export/graphs.py",
    "models/export/whitening.py",
    "training/evaluation",
)
"""Code that a feature or a score may depend on: folders, and files of other folders. A bundle's graphs count by their content."""
LIBRARIES = (np, onnxruntime, PIL, scipy, sklearn, timm, torch)


class Cache:
    """A folder of results; `None` keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

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
            self._keep(path, save(arrays))
        return arrays

    def values(self, of: list[str], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Values of JSON by name, likewise."""
        if self.folder is None:
            return make()
        path = self.folder / f"{digest(*of)}.json"
        try:
            kept: dict[str, Any] = json.loads(path.read_text())
            os.utime(path)
        except (OSError, ValueError):
            kept = make()
            self._keep(path, json.dumps(kept).encode())
        return kept

    def _keep(self, path: Path, content: bytes) -> None:
        """Write a file that another process may be writing too. Failing to is only a warning."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            temporary.replace(path)
            self._shrink()
        except OSError as error:
            log.warning("%s cannot be kept for the next time: %s", path, error)

    def _shrink(self) -> None:
        """Delete the files that were not used for longest until the rest is within `MAX_BYTES`."""
        assert self.folder is not None
        stats = [(path, path.stat()) for path in self.folder.iterdir()]
        total = sum(stat.st_size for _, stat in stats)
        for path, stat in sorted(stats, key=lambda item: item[1].st_mtime):
            if total <= MAX_BYTES:
                break
            path.unlink(missing_ok=True)
            total -= stat.st_size


def user_cache() -> Path:
    """Where the current user's results are kept."""
    return cache_folder("probes")


def digest(*parts: str) -> str:
    """A key."""
    return hashlib.sha256("\n".join((*parts, _code())).encode()).hexdigest()[:32]


@memoised
def _code() -> str:
    """The code that computes, and the versions of the libraries below it."""
    return digest_of_code(Path(models.__file__).parents[1]) + str(
        [f"{library.__name__} {library.__version__}" for library in LIBRARIES]
    )


def digest_of_code(root: Path) -> str:
    """Changes with any file of `SOURCES` below `root`."""
    code = hashlib.sha256()
    for source in SOURCES:
        path = root / source
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        assert files, f"{source} holds no code"
        for file in files:
            code.update(file.relative_to(root).as_posix().encode() + b"\n" + file.read_bytes())
    return code.hexdigest()
