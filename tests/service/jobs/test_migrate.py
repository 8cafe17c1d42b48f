"""Jobs whose own files lie among the parts, as version 0.1.0 wrote them."""

import json
import shutil
from pathlib import Path

import pytest

from models.errors import ConfigError
from tests.service.jobs.conftest import ids_of, rows_of, write_images

GOLDEN_JOB = Path(__file__).parents[2] / "golden" / "job-v1"


@pytest.fixture
def make_old_job(tmp_path, bundle):
    """A function that copies the golden job, at home in a new folder."""

    def make(name="old"):
        root = tmp_path / name
        shutil.copytree(GOLDEN_JOB, root)
        path = root / "out" / "job.json"
        record = json.loads(path.read_text())
        record["sources"] = [str(root / "images")]
        record["metadata"]["bundle_sha256"] = bundle.sha256
        path.write_text(json.dumps(record))
        return root / "images", root / "out"

    return make


OLD_BUNDLED = "50390da40b6d8a28a60ebbb5ae8d62b6ecbbf9c3aa16acfeab7f30dffba15985"
"""The sha256 of the bundled model's manifest in version 0.1.0."""


def same(rows):
    """Rows without what names the folder."""
    return [{**row, "uri": None} for row in rows]


def visible(out):
    return sorted(path.name for path in out.iterdir())


def test_a_finished_job_is_taken_over_as_it_is(make_old_job, run):
    images, out = make_old_job()
    before = {path: path.read_bytes() for path in out.glob("part-*")}
    report = run(images, out, batch=32)
    assert (report.written, report.statuses) == (0, {"ok": 4, "invalid_image": 1})
    assert not any(report.changes)
    assert report.skipped == {".txt": 1}
    assert visible(out) == [".job", "part-00000.parquet", "part-00001.parquet"]
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("missing", [0, 1])
def test_an_unfinished_job_is_finished_with_the_same_rows(make_old_job, run, missing):
    images, out = make_old_job()
    (out / f"part-{missing:05d}.parquet").unlink()
    (out / "_SUCCESS.json").unlink()
    assert run(images, out, batch=32).written == [3, 2][missing]
    found, expected = same(rows_of(out)), same(rows_of(GOLDEN_JOB / "out"))
    for row in (*found, *expected):
        row["error"] = row["error"] and ""  # its words may change
    assert found == expected


def test_other_settings_are_an_error_and_change_nothing(make_old_job, run):
    images, out = make_old_job()
    before = visible(out)
    with pytest.raises(ConfigError, match="pooling was 'mean', is 'last4'; batch was 32, is 4"):
        run(images, out, pooling="last4")
    assert [name for name in visible(out) if name != ".job"] == before


def test_an_old_job_is_updated_in_shards_of_its_own_size(make_old_job, run):
    images, out = make_old_job()
    write_images(images, [f"new-{i}.png" for i in range(4)])
    assert run(images, out, batch=32, update=True).written == 4
    assert ids_of(out)[5:] == [f"new-{i}.png" for i in range(4)]
    assert len(list(out.glob("part-*"))) == 4


def test_a_migration_killed_at_any_moment_is_completed_by_the_next_call(make_old_job, run, kill_at):
    for moment in range(100):
        images, out = make_old_job(str(moment))
        killed = kill_at(moment, lambda images=images, out=out: run(images, out, batch=32))
        assert run(images, out, batch=32).written == 0
        assert visible(out) == [".job", "part-00000.parquet", "part-00001.parquet"]
        assert same(rows_of(out)) == same(rows_of(GOLDEN_JOB / "out"))
        if not killed:
            break
    assert moment > 8


def test_a_job_on_the_bundled_model_is_finished_though_the_manifest_changed(make_old_job, run):
    import pyarrow.parquet as pq

    from models.bundle.reader import ZOO, read_bundle

    images, out = make_old_job()
    record = json.loads((out / "job.json").read_text())
    record["metadata"] |= {"bundle": "fashion-mnist-nano", "bundle_sha256": OLD_BUNDLED}
    (out / "job.json").write_text(json.dumps(record))
    for name in ("part-00000.parquet", "part-00001.parquet", "_SUCCESS.json"):
        (out / name).unlink()
    bundled = read_bundle(ZOO / "fashion-mnist-nano")
    assert bundled.sha256 != OLD_BUNDLED
    assert run(images, out, batch=32, bundle=bundled).written == 5
    assert run(images, out, batch=32, bundle=bundled).written == 0  # from the migrated record too
    for part in out.glob("part-*"):
        assert pq.read_schema(part).metadata[b"ijepa.bundle_sha256"] == OLD_BUNDLED.encode()


def test_an_overwriting_killed_at_any_moment_is_completed_by_the_next_call(make_old_job, run, kill_at):
    for moment in range(100):
        images, out = make_old_job(str(moment))
        killed = kill_at(moment, lambda images=images, out=out: run(images, out, batch=32, overwrite=True))
        run(images, out, batch=32)
        assert {row["id"] for row in rows_of(out)} == {row["id"] for row in rows_of(GOLDEN_JOB / "out")}
        if not killed:
            break
    assert moment > 8


def test_what_an_overwriting_of_0_1_0_left_is_begun_again(make_old_job, run):
    images, out = make_old_job()
    for name in ("_SUCCESS.json", "part-00000.parquet", "part-00001.parquet", "listing.parquet"):
        (out / name).unlink()  # it deleted job.json last
    assert run(images, out, batch=32).written == 5
    assert visible(out) == [".job", "part-00000.parquet"]


def test_an_old_job_without_its_listing_keeps_its_parts_and_says_so(make_old_job, run):
    images, out = make_old_job()
    (out / "listing.parquet").unlink()
    with pytest.raises(ConfigError, match=r"listing\.parquet is missing, use another --out, or --overwrite"):
        run(images, out, batch=32)
    assert len(list(out.glob("part-*"))) == 2


def test_an_old_job_is_overwritten(make_old_job, run):
    images, out = make_old_job()
    assert run(images, out, overwrite=True, normalize=True).written == 5
    assert visible(out) == [".job", "part-00000.parquet"]


def test_an_old_beginning_cut_short_is_begun_again(few, run, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in (".listing.parquet.tmp", ".job.json.tmp", "listing.parquet", ".lock"):
        (out / name).write_bytes(b"half")
    assert run(few, out).written == 10
    assert visible(out) == [".job", "part-00000.parquet"]


def test_an_old_process_that_still_runs_is_noticed(make_old_job, run):
    import fcntl

    images, out = make_old_job()
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another job is running"):
            run(images, out, batch=32)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 3}', '{"format": 1, "metadata": 5}'])
def test_a_record_that_cannot_be_read_is_an_error(make_old_job, run, content):
    images, out = make_old_job()
    (out / "job.json").write_text(content)
    with pytest.raises(ConfigError, match=r"job\.json (is malformed|has job format 3)"):
        run(images, out, batch=32)
