import shutil

import pytest

from service.jobs.sinks.parquet import Parquet
from tests.service.jobs.conftest import Killed, ids_of, rows_of, write_images


def names(changes):
    return [[row.id for row in rows] for rows in changes]


def killed(*_):
    raise Killed


def grow(few):
    """Two come, one goes."""
    write_images(few, ["0000-new.png", "sub/new.png"])
    (few / "0005.png").unlink()


def test_a_folder_that_has_grown_is_told_and_nothing_is_done(few, run, tmp_path):
    out = tmp_path / "out"
    assert names(run(few, out).changes) == [[], []]
    before = ids_of(out)
    grow(few)
    report = run(few, out)
    assert names(report.changes) == [["0000-new.png", "sub/new.png"], ["0005.png"]]
    assert report.written == 0
    assert ids_of(out) == before


def test_update_adds_what_is_new_and_leaves_the_rest_alone(few, run, tmp_path, small_shards):
    out = tmp_path / "out"
    run(few, out)
    before = rows_of(out)
    parts = {path: path.stat().st_mtime_ns for path in out.glob("part-*")}
    grow(few)
    report = run(few, out, update=True)
    assert rows_of(out)[:10] == before
    assert ids_of(out)[10:] == ["0000-new.png", "sub/new.png"]
    assert {path: path.stat().st_mtime_ns for path in parts} == parts
    assert len(list(out.glob("part-*"))) == len(parts) + 1
    assert names(report.changes) == [["0000-new.png", "sub/new.png"], ["0005.png"]]
    assert (report.written, report.statuses) == (2, {"ok": 12})

    again = run(few, out, update=True)
    assert (names(again.changes), again.written) == ([[], ["0005.png"]], 0)
    assert len(ids_of(out)) == len(set(ids_of(out))) == 12


def test_update_of_an_unfinished_job_finishes_it(few, run, tmp_path, small_shards):
    out = tmp_path / "out"
    run(few, out)
    (out / "part-00001.parquet").unlink()
    (out / ".job" / "_SUCCESS.parquet").unlink()
    grow(few)
    report = run(few, out, update=True)
    assert ids_of(out) == [f"{i:04d}.png" for i in range(10)] + ["0000-new.png", "sub/new.png"]
    assert (report.written, report.statuses) == (5, {"ok": 11, "not_found": 1})


def test_an_idx_file_that_has_grown_keeps_its_ids(run, tmp_path):
    import numpy as np

    pixels = np.random.default_rng(0).integers(0, 256, (101, 4, 4), dtype=np.uint8)
    reports = []
    for count in (99, 101):
        shape = b"".join(size.to_bytes(4) for size in (count, 4, 4))
        (tmp_path / "idx").write_bytes(b"\0\0\x08\x03" + shape + pixels[:count].tobytes())
        reports.append(run(f"idx:{tmp_path / 'idx'}", tmp_path / "out", update=True))
    assert names(reports[1].changes) == [["00000099", "00000100"], []]
    assert ids_of(tmp_path / "out") == [f"{i:08d}" for i in range(101)]


def test_update_without_a_job_begins_one(few, run, tmp_path):
    assert run(few, tmp_path / "out", update=True).written == 10


def test_an_update_killed_at_any_moment_and_run_again_has_every_row_once(few, run, tmp_path, small_shards, kill_at):
    run(few, tmp_path / "begun")
    grow(few)
    write_images(few, [f"z{i}.png" for i in range(3)])
    for moment in range(100):
        out = tmp_path / str(moment)
        shutil.copytree(tmp_path / "begun", out)
        killed = kill_at(moment, lambda out=out: run(few, out, update=True))
        run(few, out, update=True)
        assert ids_of(out)[:10] == ids_of(tmp_path / "begun")
        assert ids_of(out)[10:] == ["0000-new.png", "sub/new.png", "z0.png", "z1.png", "z2.png"]
        assert (out / ".job" / "_SUCCESS.parquet").exists()
        if not killed:
            break
    assert moment > 5


def test_an_update_that_was_killed_is_finished_without_the_option_too(few, run, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run(few, out)
    grow(few)
    with monkeypatch.context() as patch:
        patch.setattr(Parquet, "write", killed)
        with pytest.raises(Killed):
            run(few, out, update=True)
    assert len(ids_of(out)) == 10
    assert run(few, out).written == 2
    assert len(ids_of(out)) == 12
