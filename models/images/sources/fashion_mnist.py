"""`fashion-mnist:train`, `fashion-mnist:test`: from Debian's package where it is installed, else fetched once."""

import hashlib
from pathlib import Path

import numpy as np

from models.errors import DataError
from models.images.sources.base import BY_BYTES, ListOptions
from models.images.sources.idx import Arrays, read_idx
from models.io import atomic_write, cache_folder
from models.progress import Progress, no_progress

PACKAGED = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""

MIRROR = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
"""The address that the data set's own page names."""

MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
"""The sums that the data set's own page lists."""

CLASSES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot")


def open_fashion_mnist(argument: str, _: ListOptions = BY_BYTES, progress: Progress = no_progress) -> Arrays:
    """Fashion-MNIST, `train` (60,000 images) or `test` (10,000), with labels.

    Raises:
        DataError: another part, or files that are neither installed nor to be had.
    """
    if argument not in ("train", "test"):
        raise DataError(f"fashion-mnist has no part {argument!r}; write fashion-mnist:train or fashion-mnist:test")
    part = "t10k" if argument == "test" else "train"
    images, labels = (_find(f"{part}-{name}", progress) for name in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    pixels = read_idx(images)
    description = f"the {len(pixels):,} {argument} images of Fashion-MNIST"
    return Arrays(pixels, read_idx(labels).astype(np.int64), CLASSES, description, f"fashion-mnist:{argument}")


def _find(name: str, progress: Progress) -> Path:
    """A file of the package, or of the user's cache, where it is fetched to."""
    for path in (PACKAGED / name, PACKAGED / f"{name}.gz"):
        if path.exists():
            return path
    cached = cache_folder("fashion-mnist") / f"{name}.gz"
    if not cached.exists():
        _fetch(cached, progress)
    return cached


def _fetch(path: Path, progress: Progress) -> None:
    import httpx2

    try:
        address, headers = f"{MIRROR}/{path.name}", {"accept-encoding": "identity"}
        with httpx2.stream("GET", address, headers=headers, timeout=30, follow_redirects=True) as response:
            response.raise_for_status()
            size = int(response.headers.get("content-length", 0))
            chunks = []
            with progress(size, f"fetching {path.name}", "bytes") as stage:
                for chunk in response.iter_raw():
                    chunks.append(chunk)
                    stage.update(len(chunk))
    except httpx2.HTTPError as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"Fashion-MNIST could not be fetched ({reason}); install Debian's package dataset-fashion-mnist, "
            "or use other images"
        ) from error
    data = b"".join(chunks)
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != MD5[path.name]:
        raise DataError(f"{path.name} from {MIRROR} is not the published file (another md5); try again later")
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, data)
