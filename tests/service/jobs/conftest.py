"""Small folders of images, and jobs on them in this process."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image


def write_images(root, names):
    """A different image for each name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw = np.random.default_rng(list(name.encode()))
        Image.fromarray(draw.integers(0, 256, (16, 19, 3), dtype=np.uint8)).save(path, "PNG", compress_level=1)


def rows_of(out):
    """All rows of a job, in order."""
    return [row for part in sorted(out.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]


def ids_of(out):
    return [row["id"] for row in rows_of(out)]


@pytest.fixture
def few(tmp_path):
    """A folder of ten images."""
    write_images(tmp_path / "few", [f"{i:04d}.png" for i in range(10)])
    return tmp_path / "few"


@pytest.fixture(scope="session")
def bundle(golden):
    from models.bundle.reader import read_bundle

    return read_bundle(golden)


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of three rows."""
    from service.jobs import spec

    monkeypatch.setattr(spec, "SHARD_ROWS", 3)


@pytest.fixture
def run(bundle):
    """A function that runs a job: sources, folder, arguments of `run_job`, and options of the embedding."""
    from models.images.decode import DecodeLimits
    from models.runtimes.select import open_runtime
    from service.jobs.runner import run_job
    from service.operations.base import EmbedOptions

    def run(sources, out, runtime="fake", **given):
        options = {name: given.pop(name) for name in EmbedOptions._fields if name in given}
        sources = [sources] if isinstance(sources, str | Path) else sources
        chosen = given.pop("bundle", bundle)
        runtime = open_runtime(runtime, chosen, 1) if isinstance(runtime, str) else runtime
        arguments = {"limits": DecodeLimits(), "batch": 4, **given}
        return run_job([str(source) for source in sources], out, chosen, runtime, EmbedOptions(**options), **arguments)

    return run


class Killed(BaseException):
    """What stands for SIGKILL."""


@pytest.fixture
def kill_at(monkeypatch):
    """A function that calls another and stops it at its nth change of a file: nothing that follows changes a file either.

    It tells whether there was an nth change.
    """

    def kill_at(moment, work):
        changes = 0

        def counted(change):
            def method(*args, **keywords):
                nonlocal changes
                changes += 1
                if changes > moment:
                    raise Killed
                return change(*args, **keywords)

            return method

        with monkeypatch.context() as patch:
            for name in ("replace", "unlink"):
                patch.setattr(Path, name, counted(getattr(Path, name)))
            try:
                work()
            except Killed:
                return True
        return False

    return kill_at
