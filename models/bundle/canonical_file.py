"""`canonical.safetensors`: one image, and what the graphs gave for it at export. Its tensors are checked before they are read."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from models.bundle.manifest import Manifest
from models.errors import BundleError
from models.io import check_safetensors_header

Expected = dict[str, tuple[str, tuple[int | None, ...]]]
"""By name: the dtype in safetensors' words, and the shape, None where any size will do."""


def read_canonical(path: Path, manifest: Manifest) -> dict[str, np.ndarray]:
    """The tensors that a manifest calls for; others are left in the file.

    Raises:
        BundleError: the file cannot be read, or a tensor is missing or has another dtype or shape.
    """
    expected = canonical_tensors(manifest)
    try:
        check_safetensors_header(path)
        with safe_open(path, "numpy") as file:
            if missing := expected.keys() - file.keys():
                raise BundleError(f"{path} lacks {', '.join(sorted(missing))}")
            for name, (dtype, shape) in expected.items():
                found = file.get_slice(name)
                _check_tensor(path, name, (found.get_dtype(), tuple(found.get_shape())), (dtype, shape), manifest)
            tensors = {name: file.get_tensor(name) for name in expected}
    except (OSError, ValueError, SafetensorError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    for name in ("context_ids", "target_ids"):
        if name in tensors and not ((tensors[name] >= 0) & (tensors[name] < manifest.model.encoder.patches)).all():
            raise BundleError(f"{path}: {name} are not patches of the {manifest.grid[0]}x{manifest.grid[1]} grid")
    return tensors


def canonical_tensors(manifest: Manifest) -> Expected:
    """What the file holds: `pixels`, `tokens` and poolings, and one region where the bundle predicts."""
    encoder = manifest.model.encoder
    expected: Expected = {name: ("F32", (width,)) for name, width in manifest.poolings.items()}
    expected |= {"pixels": ("U8", (*encoder.image_size, encoder.channels))}
    expected |= {"tokens": ("F32", (encoder.patches, encoder.width))}
    if manifest.predicts:
        expected |= {"context_ids": ("I64", (None,)), "target_ids": ("I64", (None,))}
        expected |= {"predicted": ("F32", (None, encoder.width))}
    return expected


def _check_tensor(
    path: Path,
    name: str,
    found: tuple[str, tuple[int, ...]],
    expected: tuple[str, tuple[int | None, ...]],
    manifest: Manifest,
) -> None:
    """Compare dtype and shape; a size that is open is that of a part of the grid."""
    sizes = zip(found[1], expected[1], strict=False)
    fits = all(
        1 <= size <= manifest.model.encoder.patches if wanted is None else size == wanted for size, wanted in sizes
    )
    if found[0] != expected[0] or len(found[1]) != len(expected[1]) or not fits:
        shape = ["any" if size is None else size for size in expected[1]]
        raise BundleError(f"{path}: {name} is {found[0]} {list(found[1])}, expected {expected[0]} {shape}")
