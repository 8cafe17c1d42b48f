"""What decoding and resizing a JPEG costs: `taskset -c 0 python -m benchmarks.decoding`.

Each decoder makes the same input of a network (224 x 224 pixels, centre crop of 0.875) of the same files on one thread, in turn;
printed are the median milliseconds of processor time an image, and for how many files the decoded pixels and the network's
input are those of `exact`. The files are photographs of a folder, or made on the spot.
"""

import argparse
import importlib
import importlib.util
import io
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from PIL import Image

from models.images.decode import LOCAL_LIMITS, decode, image_format
from models.images.preprocess import Preprocessing, read_pixels, resample, to_pixels, view_of

EXACT = Preprocessing(size=(224, 224), crop=0.875)
SCALED = EXACT.model_copy(update={"decoding": "scaled"})
NOISE = 6
"""Standard deviation of the noise of enlarged images: sensors have some, and enlarging adds no detail."""


class Decoder(NamedTuple):
    """A way from a file to a network's input. `pixels` gives all pixels of the image, where that is comparable."""

    name: str
    read: Callable[[bytes], np.ndarray]
    pixels: Callable[[bytes], np.ndarray] | None


def ours() -> list[Decoder]:
    """What the project does: Pillow."""
    return [
        Decoder(
            "exact",
            lambda data: read_pixels(data, EXACT, limits=LOCAL_LIMITS)[0],
            lambda data: np.asarray(decode(data)),
        ),
        Decoder("scaled", lambda data: read_pixels(data, SCALED, limits=LOCAL_LIMITS)[0], None),
    ]


def simplejpeg_decoders() -> list[Decoder]:
    """The library simplejpeg, in full and at the smallest scale with twice the pixels needed. EXIF is not applied."""
    simplejpeg = importlib.import_module("simplejpeg")
    decode_jpeg, decode_jpeg_header = simplejpeg.decode_jpeg, simplejpeg.decode_jpeg_header

    def exact(data: bytes) -> np.ndarray:
        return to_pixels(Image.fromarray(decode_jpeg(data)), EXACT)

    def scaled(data: bytes) -> np.ndarray:
        height, width, *_ = decode_jpeg_header(data)
        view = view_of((width, height), EXACT)
        share = 2 * EXACT.size[0] / (view.bottom - view.top)
        pixels = (
            decode_jpeg(data, min_height=height * share, min_width=width * share) if share < 1 else decode_jpeg(data)
        )
        small = Image.fromarray(pixels)
        return resample(small, EXACT, view_of(small.size, EXACT))

    return [Decoder("simplejpeg", exact, decode_jpeg), Decoder("simplejpeg, scaled", scaled, None)]


def decoders() -> list[Decoder]:
    """All that are installed; the others are named."""
    if importlib.util.find_spec("simplejpeg"):
        return ours() + simplejpeg_decoders()
    print("simplejpeg is skipped: it is not installed (pip install simplejpeg)")
    return ours()


def photographs(folder: Path | None) -> list[bytes]:
    """The JPEGs of a folder; one that is made where there is none."""
    if folder is None:
        return [made(500, 375)]
    files = [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()]
    return [data for data in files if image_format(data) == "JPEG"]


def made(width: int, height: int, source: bytes | None = None) -> bytes:
    """A JPEG of a size, quality 90: a photograph enlarged, with noise, or coarse noise enlarged."""
    if source is None:
        coarse = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        image = Image.fromarray(coarse)
    else:
        image = decode(source, LOCAL_LIMITS)
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    noise = np.random.default_rng(0).normal(0, NOISE, pixels.shape).astype(np.float32)
    file = io.BytesIO()
    Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def reads_all(decoders: Sequence[Decoder], data: bytes) -> bool:
    """Whether all read a file. They differ in what they forgive."""
    try:
        return all(decoder.read(data) is not None for decoder in decoders)
    except Exception:  # noqa: BLE001 -- whatever a library raises
        return False


def milliseconds(decoder: Decoder, files: Sequence[bytes]) -> float:
    """Processor time of this thread, the mean of the files. Another program on the core counts little in it."""
    start = time.thread_time()
    for data in files:
        decoder.read(data)
    return 1000 * (time.thread_time() - start) / len(files)


def equal(decoder: Decoder, exact: Decoder, files: Sequence[bytes]) -> str:
    """For how many files the decoded pixels are those of `exact`, and the network's input."""
    inputs = sum(np.array_equal(decoder.read(data), exact.read(data)) for data in files)
    if decoder.pixels is None or exact.pixels is None:
        return f"-/{inputs} of {len(files)}"
    decoded = sum(np.array_equal(decoder.pixels(data), exact.pixels(data)) for data in files)
    return f"{decoded}/{inputs} of {len(files)}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=Path, help="a folder of JPEGs (one is made)")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    photos = photographs(args.photographs)
    source = photos[0] if args.photographs else None
    sets = {"as they are": photos, "500 x 375": [made(500, 375, source)], "4000 x 3000": [made(4000, 3000, source)]}
    compared = decoders()
    sets = {name: [data for data in files if reads_all(compared, data)] for name, files in sets.items()}
    print(
        f"Pillow {PIL.__version__}; milliseconds an image on one thread; files with equal pixels and with equal input"
    )
    rows = defaultdict(list)
    for _ in range(args.rounds):
        for decoder, name in product(compared, sets):
            rows[decoder.name, name].append(milliseconds(decoder, sets[name]))
    print(f"{'':<20}" + "".join(f"{name:>28}" for name in sets))
    for decoder in compared:
        cells = [
            f"{statistics.median(rows[decoder.name, name]):.2f} ms {equal(decoder, compared[0], files):>15}"
            for name, files in sets.items()
        ]
        print(f"{decoder.name:<20}" + "".join(f"{cell:>28}" for cell in cells))


if __name__ == "__main__":
    main()
