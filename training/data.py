"""Pictures by URI, and batches of random crops of them.

A source is anything with a length and `open`; `SOURCES` is the table of them, by the word before the colon of a URI. A
batch is a function of (seed, step): a run that stops and goes on reads what it would have read.
"""

import gzip
import hashlib
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from PIL import Image

from models.errors import DataError
from models.files import sha256_of
from models.preprocess import BROKEN, PICTURE_SUFFIXES, PixelRecipe, View, resample, upright_rgb
from training.config import DataConfig
from training.counted import Purpose, bits, uniforms

log = logging.getLogger(__name__)

PACKAGED_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""


@runtime_checkable
class Source(Protocol):
    """Pictures in a fixed order. `labels` is one class number a picture where the source has them; `fingerprint` tells orders apart."""

    description: str
    fingerprint: str
    labels: Int64[np.ndarray, " n"] | None
    classes: tuple[str, ...]

    def __len__(self) -> int: ...

    def open(self, index: int) -> Image.Image:
        """One picture, upright, grey or RGB.

        Raises:
            DataError: it cannot be read.
        """
        ...

    def digest(self) -> str:
        """Changes with any byte of any picture, and with any label. May read all files."""
        ...


class Folder:
    """All pictures below a folder; the first folder below it names a picture's class."""

    def __init__(self, argument: str) -> None:
        root = Path(argument)
        if not root.is_dir():
            raise DataError(f"there is no folder {argument!r}; give one with pictures in it")
        self.paths = sorted(
            path for path in root.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
        )
        if not self.paths:
            raise DataError(
                f"no pictures in {argument!r}; looked for files ending in {', '.join(sorted(PICTURE_SUFFIXES))}"
            )
        tops = [path.relative_to(root).parts[0] if path.parent != root else "" for path in self.paths]
        self.classes = tuple(sorted(set(tops)))
        self.labels = np.array([self.classes.index(top) for top in tops]) if len(self.classes) > 1 else None
        self.description = f"{len(self.paths):,} pictures of a folder named {root.resolve().name!r}"
        names = "\n".join(path.relative_to(root).as_posix() for path in self.paths)
        self.fingerprint = hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.paths)

    def open(self, index: int) -> Image.Image:
        """See `Source.open`."""
        try:
            with Image.open(self.paths[index]) as image:
                return upright_rgb(image)
        except (*BROKEN, Image.DecompressionBombError) as error:
            raise DataError(f"{self.paths[index]} cannot be read: {error}") from error

    def digest(self) -> str:
        """See `Source.digest`."""
        whole = hashlib.sha256(self.fingerprint.encode())
        for path in self.paths:
            whole.update(sha256_of(path).encode())
        return whole.hexdigest()


class Arrays:
    """Grey pictures in memory."""

    def __init__(
        self,
        pixels: UInt8[np.ndarray, "n H W"],
        labels: Int64[np.ndarray, " n"] | None,
        classes: tuple[str, ...],
        description: str,
    ) -> None:
        self.pixels, self.labels, self.classes, self.description = pixels, labels, classes, description
        self.fingerprint = hashlib.sha256(pixels.tobytes()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.pixels)

    def open(self, index: int) -> Image.Image:
        """See `Source.open`."""
        return Image.fromarray(self.pixels[index])

    def digest(self) -> str:
        """See `Source.digest`."""
        labels = b"" if self.labels is None else self.labels.tobytes()
        return self.fingerprint + hashlib.sha256(labels).hexdigest()


def idx(argument: str) -> Arrays:
    """An idx file of pictures (`...-images-idx3-ubyte`, gzipped or not), with the labels file beside it where there is one."""
    path = Path(argument)
    pixels = read_idx(path)
    if pixels.ndim != 3:
        raise DataError(f"{path} holds an array of shape {pixels.shape}, not pictures by height by width")
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    labels = read_idx(beside).astype(np.int64) if beside != path and beside.exists() else None
    if labels is not None and labels.shape != pixels.shape[:1]:
        raise DataError(
            f"{beside} has labels of shape {labels.shape}, {path} {len(pixels):,} pictures: one belongs to each"
        )
    classes = tuple(str(label) for label in np.unique(labels)) if labels is not None else ()
    return Arrays(pixels, labels, classes, f"{len(pixels):,} pictures of {path.name}")


def fashion_mnist(argument: str) -> Arrays:
    """Fashion-MNIST, `train` (60,000 pictures) or `test` (10,000): Debian's package where installed, else fetched by torchvision."""
    if argument not in ("train", "test"):
        raise DataError(f"fashion-mnist has no part {argument!r}; write fashion-mnist:train or fashion-mnist:test")
    part = "t10k" if argument == "test" else "train"
    names = [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]
    folder = PACKAGED_FASHION_MNIST if PACKAGED_FASHION_MNIST.is_dir() else _fetch_fashion_mnist()
    files = [next((f for f in (folder / name, folder / f"{name}.gz") if f.exists()), folder / name) for name in names]
    pixels, labels = read_idx(files[0]), read_idx(files[1]).astype(np.int64)
    names_of_classes = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot")
    return Arrays(pixels, labels, names_of_classes, f"the {len(pixels):,} {argument} pictures of Fashion-MNIST")


class Synthetic:
    """`synthetic:COUNT`: grey pictures of a bright box on a slope, made on the spot, for trying the machinery without data; another
    COUNT gives other pictures.
    """

    def __init__(self, argument: str) -> None:
        if not argument.isdigit() or int(argument) < 1:
            raise DataError(f"synthetic:{argument} is no number of pictures; write synthetic:1000")
        self.count, self.side = int(argument), 32
        self.labels: Int64[np.ndarray, " n"] | None = np.arange(self.count) % 2
        self.classes: tuple[str, ...] = ("wide", "tall")
        self.description = f"{self.count:,} synthetic pictures"
        self.fingerprint = self.description

    def __len__(self) -> int:
        return self.count

    def open(self, index: int) -> Image.Image:
        """See `Source.open`. Odd pictures have a tall box, even ones a wide box."""
        u = uniforms(0, Purpose.SYNTHETIC, self.count, index, n=5)
        long, short = 8 + int(u[0] * 12), 3 + int(u[1] * 5)
        height, width = (long, short) if index % 2 else (short, long)
        top, left = int(u[2] * (self.side - height)), int(u[3] * (self.side - width))
        rows, columns = np.indices((self.side, self.side))
        pixels = (rows * u[4] + columns * (1 - u[4])) * 3
        pixels[top : top + height, left : left + width] = 220
        return Image.fromarray(pixels.astype(np.uint8))

    def digest(self) -> str:
        """See `Source.digest`."""
        return self.description


SOURCES: dict[str, Callable[[str], Source]] = {
    "folder": Folder,
    "idx": idx,
    "fashion-mnist": fashion_mnist,
    "synthetic": Synthetic,
}


def open_source(uri: str) -> Source:
    """The source of a URI: `folder:DIR` or just `DIR`, `idx:FILE`, `fashion-mnist:train`, `synthetic:COUNT`.

    Raises:
        DataError: nothing there, or nothing that can be read.
    """
    scheme, colon, argument = uri.partition(":")
    if colon and scheme in SOURCES:
        return SOURCES[scheme](argument)
    if Path(uri).is_dir():
        return Folder(uri)
    raise DataError(f"{uri!r} is no folder and none of the sources {', '.join(name + ':' for name in SOURCES)}")


class Batch(NamedTuple):
    """Training views of one step, and which pictures they were cut from."""

    epoch: int
    samples: Int64[np.ndarray, " B"]
    pixels: UInt8[np.ndarray, "B H W C"]


class Batches:
    """The batches of a run, from any step on. An epoch's order is a function of (seed, epoch); its last, partial batch is dropped."""

    def __init__(self, source: Source, config: DataConfig, recipe: PixelRecipe, batch_size: int, seed: int) -> None:
        self.source, self.config, self.recipe = source, config, recipe
        self.batch_size, self.seed = batch_size, seed
        self.per_epoch = len(source) // batch_size
        if not self.per_epoch:
            raise DataError(f"{len(source)} pictures do not fill one batch; use optim.batch_size={len(source)} or less")
        self._order: tuple[int, Int64[np.ndarray, " n"]] = (-1, np.empty(0, dtype=np.int64))

    def samples(self, step: int) -> tuple[int, Int64[np.ndarray, " B"]]:
        """The epoch of a step (from 0) and the pictures of its batch."""
        epoch, position = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            keys = bits(self.seed, Purpose.ORDER, epoch, np.arange(len(self.source)))
            self._order = (epoch, np.argsort(keys, kind="stable"))
        return epoch, self._order[1][position * self.batch_size :][: self.batch_size]

    def load(self, epoch: int, samples: Int64[np.ndarray, " B"]) -> Batch:
        """Read the pictures and cut a random crop of each."""
        u = uniforms(self.seed, Purpose.CROP, epoch, samples, n=5)
        views = np.empty((len(samples), *self.recipe.size, self.recipe.channels), dtype=np.uint8)
        for i, sample in enumerate(samples):
            image = open_or_next(self.source, int(sample))
            view = resample(image, self.recipe, random_view(image.size, self.config, u[i]))
            views[i] = view[:, ::-1] if self.config.flip and u[i, 4] < 0.5 else view
        return Batch(epoch, samples, views)

    def stream(self, first: int, last: int, workers: int) -> Iterator[Batch]:
        """The batches of steps `first` to `last` (not included), a few read ahead by threads."""
        with ThreadPoolExecutor(workers, thread_name_prefix="data") as pool:
            waiting: list[Future[Batch]] = []
            for step in range(first, last + workers):
                if step < last:
                    waiting.append(pool.submit(self.load, *self.samples(step)))
                if step >= first + workers:
                    yield waiting.pop(0).result()


def open_or_next(source: Source, index: int) -> Image.Image:
    """A picture, or, said once in the log, the next one that can be read: a run of hours should not end for one bad file.

    Raises:
        DataError: none of the next hundred can be read.
    """
    for offset in range(min(100, len(source))):
        try:
            return source.open((index + offset) % len(source))
        except DataError as error:
            if str(error) not in _told:
                _told.add(str(error))
                log.warning("%s; the next picture stands in for it", error)
    raise DataError(f"{source.description}: none of {min(100, len(source))} pictures in a row can be read")


_told: set[str] = set()


def random_view(size: tuple[int, int], config: DataConfig, u: Float64[np.ndarray, "5"]) -> View:
    """A crop of random area and aspect (width over height, evenly in its logarithm), cut to the picture where it is too long."""
    width, height = size
    area = width * height * (config.crop_scale[0] + u[0] * (config.crop_scale[1] - config.crop_scale[0]))
    low, high = np.log(config.crop_aspect)
    aspect = np.exp(low + u[1] * (high - low))
    crop_width, crop_height = min(np.sqrt(area * aspect), width), min(np.sqrt(area / aspect), height)
    left, top = u[2] * (width - crop_width), u[3] * (height - crop_height)
    return View(float(left), float(top), float(left + crop_width), float(top + crop_height))


def read_idx(path: Path) -> UInt8[np.ndarray, "..."]:
    """An idx file of bytes, gzipped or not (the format is described with the original MNIST).

    Raises:
        DataError: no such file, another type of number, or too few bytes.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    dimensions = raw[3] if len(raw) > 3 and raw[:3] == b"\0\0\x08" and len(raw) >= 4 + 4 * raw[3] else 0
    shape = tuple(int.from_bytes(raw[4 + 4 * i : 8 + 4 * i]) for i in range(dimensions))
    body = raw[4 + 4 * dimensions :]
    if not dimensions or len(body) != np.prod(shape):
        raise DataError(f"{path} is no whole idx file of bytes")
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)


def _fetch_fashion_mnist() -> Path:
    """The folder with Fashion-MNIST's files below the user's cache, fetched once."""
    from torchvision.datasets import FashionMNIST

    root = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ijepa-features"
    try:
        FashionMNIST(root=str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"Fashion-MNIST could not be fetched ({error}); install Debian's package dataset-fashion-mnist, "
            "or give other pictures with --data"
        ) from error
    return root / "FashionMNIST" / "raw"
