"""A job never dies for one image, whatever is raised."""

import itertools
import logging

import numpy as np
import pytest

from models.errors import RuntimeFailure
from tests.service.jobs.conftest import rows_of


@pytest.fixture
def failing_runtime(bundle):
    """A function from a predicate on batches to a runtime that raises where it holds, and the batches that it saw."""
    from models.runtimes.fake import FakeRuntime

    def make(fails):
        class Failing(FakeRuntime):
            def __init__(self):
                super().__init__(bundle)
                self.sizes = []

            def encode(self, pixels, outputs):
                self.sizes.append(len(pixels))
                if fails(pixels):
                    raise RuntimeFailure("the runtime failed")
                return super().encode(pixels, outputs)

        return Failing()

    return make


def first_pixel(path):
    from models.images.preprocess import Preprocessing, read_pixels

    pixels, _ = read_pixels(path.read_bytes(), Preprocessing(size=(16, 16)))
    return pixels


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), MemoryError(), RecursionError("too deep")])
def test_any_exception_in_preprocessing_costs_one_row(few, run, tmp_path, monkeypatch, caplog, error):
    from models.images import preprocess

    original = preprocess.to_pixels

    def broken(image, preprocessing, fit=None):
        if image.tobytes() == unlucky:
            raise error
        return original(image, preprocessing, fit)

    from models.images.decode import decode

    unlucky = decode((few / "0003.png").read_bytes()).tobytes()
    monkeypatch.setattr(preprocess, "to_pixels", broken)
    with caplog.at_level(logging.ERROR, "service.jobs"):
        report = run(few, tmp_path / "out")
    assert report.statuses == {"ok": 9, "internal": 1}
    row = rows_of(tmp_path / "out")[3]
    assert (row["id"], row["status"], row["embedding"]) == ("0003.png", "internal", None)
    assert row["error"] == f"{type(error).__name__}: {error}"
    assert row["sha256"]
    (record,) = caplog.records
    assert "0003.png" in record.getMessage()
    assert record.exc_info[1] is error


def test_any_exception_in_reading_costs_one_row(few, run, tmp_path, monkeypatch):
    from models.images.sources.folder import Folder

    read = Folder.read_id
    monkeypatch.setattr(Folder, "read_id", lambda self, name: 1 / 0 if name == "0002.png" else read(self, name))
    assert run(few, tmp_path / "out").statuses == {"ok": 9, "internal": 1}
    assert rows_of(tmp_path / "out")[2]["error"] == "ZeroDivisionError: division by zero"


def test_an_image_that_the_runtime_fails_on_costs_one_row(few, run, tmp_path, failing_runtime):
    unlucky = first_pixel(few / "0005.png")
    runtime = failing_runtime(lambda pixels: any(np.array_equal(image, unlucky) for image in pixels))
    report = run(few, tmp_path / "out", runtime=runtime)
    assert report.statuses == {"ok": 9, "internal": 1}
    row = rows_of(tmp_path / "out")[5]
    assert (row["status"], row["error"]) == ("internal", "RuntimeFailure: the runtime failed")
    assert (row["width"], row["height"]) == (19, 16)
    assert runtime.sizes == [4, 4, 1, 1, 1, 1, 2]
    run(few, tmp_path / "plain")
    expected = rows_of(tmp_path / "plain")
    assert [a for a in rows_of(tmp_path / "out") if a["status"] == "ok"] == expected[:5] + expected[6:]


def test_a_batch_that_is_too_large_for_the_runtime_is_computed_one_image_at_a_time(few, run, tmp_path, failing_runtime):
    runtime = failing_runtime(lambda pixels: len(pixels) > 1)
    assert run(few, tmp_path / "out", runtime=runtime).statuses == {"ok": 10}


def test_one_image_alone_in_its_batch_may_fail_too(few, run, tmp_path, failing_runtime):
    unlucky = first_pixel(few / "0009.png")
    runtime = failing_runtime(lambda pixels: any(np.array_equal(image, unlucky) for image in pixels))
    assert run(few, tmp_path / "out", runtime=runtime, batch=3).statuses == {"ok": 9, "internal": 1}


def test_a_runtime_that_computes_nothing_any_more_ends_the_job_and_what_was_done_is_kept(
    few, run, tmp_path, failing_runtime, small_shards
):
    """Else every row that is left would be `internal` for good."""
    calls = itertools.count()
    runtime = failing_runtime(lambda _: next(calls) >= 2)
    with pytest.raises(RuntimeFailure, match="the runtime failed"):
        run(few, tmp_path / "out", runtime=runtime)
    assert len(rows_of(tmp_path / "out")) == 6
    assert run(few, tmp_path / "out").written == 4
    assert len(rows_of(tmp_path / "out")) == 10


def test_statuses_are_the_codes_of_the_service(few, run, tmp_path):
    from models.images.decode import DecodeLimits

    (few / "0000.png").write_bytes((few / "0000.png").read_bytes()[:60])
    (few / "0001.png").write_text("not an image")
    (few / "0002.png").write_bytes(b"x" * 5000)
    limits = DecodeLimits(max_bytes=4000, max_pixels=16 * 19)
    from PIL import Image

    Image.new("RGB", (17, 19)).save(few / "0003.png")
    run(few, tmp_path / "out", limits=limits)
    assert [row["status"] for row in rows_of(tmp_path / "out")][:5] == [
        "invalid_image",
        "unsupported_media_type",
        "body_too_large",
        "image_too_large",
        "ok",
    ]


def test_the_next_rows_are_read_and_the_last_shard_is_written_while_a_batch_is_computed(
    few, run, tmp_path, bundle, small_shards, monkeypatch
):
    """Of the shards 0 to 2, 3 to 5, 6 to 8 and 9: each waits for the other, with a time limit."""
    import threading

    from models.images.sources.folder import Folder
    from models.runtimes.fake import FakeRuntime
    from service.jobs.sinks.parquet import Parquet

    read, write = Folder.read_id, Parquet.write
    far_read, second_computed, in_time = threading.Event(), threading.Event(), []

    class Waiting(FakeRuntime):
        batches = 0

        def encode(self, pixels, outputs):
            self.batches += 1
            if self.batches == 1:
                in_time.append(far_read.wait(30))
            if self.batches == 2:
                second_computed.set()
            return super().encode(pixels, outputs)

    def read_and_tell(self, name):
        if name == "0006.png":
            far_read.set()
        return read(self, name)

    def write_later(self, folder, shard, rows):
        if shard == 0:
            in_time.append(second_computed.wait(30))
        write(self, folder, shard, rows)

    monkeypatch.setattr(Folder, "read_id", read_and_tell)
    monkeypatch.setattr(Parquet, "write", write_later)
    assert run(few, tmp_path / "out", runtime=Waiting(bundle)).statuses == {"ok": 10}
    assert in_time == [True, True]
    assert [row["id"] for row in rows_of(tmp_path / "out")] == [f"{i:04d}.png" for i in range(10)]


def test_a_shard_that_cannot_be_written_ends_the_job(few, run, tmp_path, small_shards, monkeypatch):
    from service.jobs.sinks.parquet import Parquet

    write = Parquet.write
    full = OSError(28, "No space left on device")

    def failing(self, folder, shard, rows):
        if shard == 2:
            raise full
        write(self, folder, shard, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Parquet, "write", failing)
        with pytest.raises(OSError, match="No space left"):
            run(few, tmp_path / "out")
    assert len(rows_of(tmp_path / "out")) == 6
    assert run(few, tmp_path / "out").written == 4


def test_a_job_keeps_the_batch_size_that_it_began_with(few, run, tmp_path, bundle):
    from models.errors import ConfigError
    from models.runtimes.fake import FakeRuntime

    sizes = []

    class Recording(FakeRuntime):
        def encode(self, pixels, outputs):
            sizes.append(len(pixels))
            return super().encode(pixels, outputs)

    def runtime(best):
        made = Recording(bundle)
        made.batch_size = best
        return made

    run(few, tmp_path / "out", runtime=runtime(4), batch=None)
    (tmp_path / "out" / "part-00000.parquet").unlink()
    run(few, tmp_path / "out", runtime=runtime(7), batch=None)
    assert sizes == [4, 4, 2, 4, 4, 2]
    with pytest.raises(ConfigError, match="batch was 4, is 7"):
        run(few, tmp_path / "out", batch=7)


def test_a_store_that_does_not_answer_ends_the_job_which_goes_on_later(run, tmp_path, monkeypatch):
    """No row says that an image is missing when its store was."""
    import fsspec

    from models.errors import StoreError
    from models.images import remote
    from tests.sources import copy_to_store, noise_images, write_zip

    monkeypatch.setattr(remote, "PAUSE_S", 0.001)
    uri = copy_to_store(f"zip:{write_zip(tmp_path / 'x.zip', noise_images(5))}", "memory://jobs")
    store = fsspec.filesystem("memory")
    cat_file = type(store).cat_file
    header = b"PK\x03\x04"

    def down(self, path, start=None, end=None, **given):
        data = cat_file(self, path, start, end, **given)
        if start and data.startswith(header):
            raise ConnectionError("down")
        return data

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "cat_file", down)
        with pytest.raises(StoreError, match=r"x\.zip cannot be read: down \(tried 3 times\)"):
            run(uri, tmp_path / "out")
    run(uri, tmp_path / "out")
    assert [row["status"] for row in rows_of(tmp_path / "out")] == ["ok"] * 5
