"""What listing and reading a tar, a zip and a Parquet file cost: `taskset -c 0 python -m benchmarks.sources --count 200000`.

The files hold random bytes under names of images, so nothing is decoded. They are written to a temporary folder, so they come from the
system's cache of files. Each is listed twice (the index of a tar file is kept after the first time), then images are read in order and
in random order. Every round makes all measurements once, in turn; printed are medians.
"""

import argparse
import io
import os
import statistics
import tarfile
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import cpuinfo, processor_name
from models.images.sources.table import open_source

GROUP_ROWS = 5_000
"""Rows of a row group of the Parquet file."""


def write_tar(path: Path, contents: Iterator[bytes]) -> None:
    """One archive with a file for each content."""
    with tarfile.open(path, "w") as archive:
        for number, content in enumerate(contents):
            member = tarfile.TarInfo(f"{number:08d}.jpg")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_zip(path: Path, contents: Iterator[bytes]) -> None:
    """One archive of stored files."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number:08d}.jpg", content)


def write_parquet(path: Path, contents: Iterator[bytes]) -> None:
    """One table in the layout of Hugging Face, not compressed."""
    images = [{"bytes": content, "path": None} for content in contents]
    table = pa.table({"image": pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))})
    pq.write_table(table, path, row_group_size=GROUP_ROWS, compression="none")


LAYOUTS: dict[str, Callable[[Path, Iterator[bytes]], None]] = {
    "tar": write_tar,
    "zip": write_zip,
    "parquet": write_parquet,
}


def measure(uri: str, reads: int) -> dict[str, float]:
    """Seconds to list and to list again, then images/s in order and in random order. The kept index must be absent."""
    start = time.perf_counter()
    open_source(uri)
    listed = time.perf_counter()
    source = open_source(uri)
    again = time.perf_counter()
    found = {"list, s": listed - start, "list again, s": again - listed}
    count = min(reads, len(source))
    orders = {"in order": range(count), "random": np.random.default_rng(0).permutation(len(source))[:count].tolist()}
    for name, order in orders.items():
        start = time.perf_counter()
        for index in order:
            source.read(index)
        found[f"{name}, images/s"] = count / (time.perf_counter() - start)
    return found


def rows(folder: Path, count: int, size: int, reads: int, rounds: int) -> Iterator[tuple[str, dict[str, float]]]:
    """The medians of each layout."""
    for layout, write in LAYOUTS.items():
        content = np.random.default_rng(0)
        write(folder / f"images.{layout}", (content.bytes(size) for _ in range(count)))
    found: dict[str, dict[str, list[float]]] = {layout: defaultdict(list) for layout in LAYOUTS}
    for number in range(rounds):
        os.environ["XDG_CACHE_HOME"] = str(folder / f"cache-{number}")
        for layout in LAYOUTS:
            for name, value in measure(f"{layout}:{folder / f'images.{layout}'}", reads).items():
                found[layout][name].append(value)
    for layout, values in found.items():
        yield layout, {name: statistics.median(each) for name, each in values.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sources", description="listing and reading of archives")
    parser.add_argument("--count", type=int, default=50_000, help="images in each file")
    parser.add_argument("--bytes", type=int, default=2_000, help="bytes of an image")
    parser.add_argument("--reads", type=int, default=20_000, help="images that are read in each order")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = dict(rows(Path(folder), args.count, args.bytes, args.reads, args.rounds))
    names = list(next(iter(found.values())))
    print(f"{args.count:,} images of {args.bytes:,} bytes; one core of {processor_name(cpuinfo())}\n")
    print(f"| | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}")
    for layout, values in found.items():
        print(f"| {layout} | {' | '.join(shown(values[name]) for name in names)} |")


def shown(value: float) -> str:
    """Three digits, or whole numbers."""
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


if __name__ == "__main__":
    main()
