import hashlib
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from models.errors import ConfigError, DataError, OptionError
from tests.service.jobs.conftest import ids_of, rows_of


def test_rows_are_those_of_the_contract(few, bundle, run, tmp_path):
    from models.runtimes.onnxruntime import Session

    (few / "0000.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    run(few, tmp_path / "out", runtime="onnxruntime")
    table = pq.read_table(tmp_path / "out" / "part-00000.parquet")
    rows = table.to_pylist()

    assert table.schema.names == ["id", "uri", "sha256", "width", "height", "embedding", "status", "error"]
    assert str(table.schema.field("embedding").type) == "fixed_size_list<element: float>[32]"
    stored = {key.decode(): value.decode() for key, value in table.schema.metadata.items() if key.startswith(b"ijepa.")}
    assert stored["ijepa.bundle"] == "golden"
    assert stored["ijepa.bundle_sha256"] == bundle.sha256
    assert [stored[f"ijepa.{key}"] for key in ("output", "pooling", "fit", "precision", "normalize")] == [
        "pooled",
        "mean",
        "crop",
        "float32",
        "false",
    ]
    assert (rows[0]["status"], rows[0]["embedding"], rows[0]["width"]) == ("invalid_image", None, None)
    assert rows[0]["error"]
    data = (few / rows[1]["id"]).read_bytes()
    with Image.open(few / rows[1]["id"]) as image:
        assert (rows[1]["width"], rows[1]["height"]) == image.size
        side = (image.width - 16) / 2
        pixels = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR, box=(side, 0, side + 16, 16)))
    assert rows[1]["sha256"] == hashlib.sha256(data).hexdigest()
    (expected,) = Session(bundle.path("encoder.onnx")).run(["mean"], pixels=pixels[None])
    assert np.abs(np.array(rows[1]["embedding"]) - expected[0]).max() < 1e-5


def test_patches_are_flat_with_their_grid(few, run, tmp_path):
    run(few, tmp_path / "out", output="patches", dtype="float16")
    table = pq.read_table(tmp_path / "out" / "part-00000.parquet")

    assert str(table.schema.field("patches").type) == "fixed_size_list<element: halffloat>[512]"
    assert {(row["gh"], row["gw"]) for row in table.select(["gh", "gw"]).to_pylist()} == {(4, 4)}


def test_normalized_embeddings_have_length_one(few, run, tmp_path):
    run(few, tmp_path / "plain")
    run(few, tmp_path / "unit", normalize=True)
    plain, unit = (np.array([row["embedding"] for row in rows_of(tmp_path / name)]) for name in ("plain", "unit"))
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    assert np.allclose(unit, plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-6)


def test_several_sources_put_their_index_before_the_id(few, run, tmp_path):
    run([few, few], tmp_path / "out")
    assert ids_of(tmp_path / "out") == [f"{i}/{path.name}" for i in range(2) for path in sorted(few.iterdir())]


def test_every_kind_of_source_can_be_embedded(few, run, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 9, 9), dtype=np.uint8)
    (tmp_path / "idx").write_bytes(b"\0\0\x08\x03" + b"".join(n.to_bytes(4) for n in pixels.shape) + pixels.tobytes())
    report = run([f"folder:{few}", f"idx:{tmp_path / 'idx'}", "synthetic:2"], tmp_path / "out")
    assert report.statuses == {"ok": 15}
    assert ids_of(tmp_path / "out")[9:] == ["0/0009.png", *(f"1/{i:08d}" for i in range(3)), "2/00000000", "2/00000001"]
    assert rows_of(tmp_path / "out")[-1]["uri"] == "synthetic:2#00000001"


def test_other_settings_in_the_same_folder_are_an_error_that_names_each(few, run, tmp_path):
    out = tmp_path / "out"
    run(few, out)
    with pytest.raises(ConfigError, match="other settings: pooling was 'mean', is 'last4'; use another --out"):
        run(few, out, pooling="last4")
    with pytest.raises(
        ConfigError, match="normalize was False, is True; dtype was 'float32', is 'float16'; batch was 4"
    ):
        run(few, out, normalize=True, dtype="float16", batch=8)
    with pytest.raises(ConfigError, match=f"sources was {few}, is synthetic:2"):
        run("synthetic:2", out)
    run(few, out, overwrite=True, pooling="last4")
    assert len(rows_of(out)[0]["embedding"]) == 128


def test_a_source_may_be_written_in_another_way(few, run, tmp_path, monkeypatch):
    run(few, tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    for source in ("few", "folder:few", "./few/"):
        assert run(source, tmp_path / "out").written == 0


@pytest.mark.parametrize("exists", [False, True])
def test_a_start_that_fails_leaves_nothing(few, run, tmp_path, exists):
    out = tmp_path / "out"
    if exists:
        out.mkdir()
        with pytest.raises(DataError, match="there is no file or folder"):
            run(few / "mistyped", out)
        assert not list(out.iterdir())
        (out / "thesis.txt").write_text("mine")
        with pytest.raises(DataError, match="is not the folder of a job"):
            run(few, out)
        assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    else:
        with pytest.raises(DataError, match="there is no file or folder"):
            run(few / "mistyped", out)
        assert not out.exists()


def test_a_folder_with_other_things_in_it_is_left_alone(few, run, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(DataError, match=r"is not the folder of a job, it holds thesis\.txt; use another --out"):
            run(few, out, overwrite=overwrite)
    (out / "thesis.txt").unlink()
    (out / "part-00000.parquet").write_text("of another program")
    with pytest.raises(DataError, match=r"it holds part-00000\.parquet"):
        run(few, out, overwrite=True)
    assert (out / "part-00000.parquet").read_text() == "of another program"


def test_overwriting_checks_everything_before_it_deletes_anything(few, run, tmp_path):
    out = tmp_path / "out"
    run(few, out)
    before = rows_of(out)
    with pytest.raises(OptionError, match="pooling 'maen' is not in model golden, which has mean, last4"):
        run(few, out, overwrite=True, pooling="maen")
    with pytest.raises(DataError, match="there is no file or folder"):
        run(few / "nowhere", out, overwrite=True)
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds thesis\.txt"):
        run(few, out, overwrite=True)
    assert rows_of(out) == before
    assert (out / ".job" / "_SUCCESS.parquet").exists()


def test_a_job_killed_at_any_moment_and_run_again_has_every_row_once(few, run, tmp_path, small_shards, kill_at):
    run(few, tmp_path / "whole")
    expected, moment = rows_of(tmp_path / "whole"), 0
    while kill_at(moment, lambda: run(few, tmp_path / "out")):  # one folder for all: it is taken up again and again
        moment += 1
    assert rows_of(tmp_path / "out") == expected
    assert moment > 0
    for moment in range(100):
        out = tmp_path / str(moment)
        killed = kill_at(moment, lambda out=out: run(few, out))
        run(few, out)
        assert rows_of(out) == expected
        assert not list(out.rglob("*.tmp"))
        if not killed:
            break
    else:
        raise AssertionError("the job never ended")
    assert moment > 10


def test_a_job_killed_while_it_overwrites_another_can_be_begun_again(few, run, tmp_path, small_shards, kill_at):
    run(few, tmp_path / "before")
    run(few, tmp_path / "whole", pooling="last4")
    for moment in range(100):
        out = tmp_path / str(moment)
        shutil.copytree(tmp_path / "before", out)
        killed = kill_at(moment, lambda out=out: run(few, out, overwrite=True, pooling="last4"))
        run(few, out, overwrite=True, pooling="last4")
        assert rows_of(out) == rows_of(tmp_path / "whole")
        if not killed:
            break
    assert moment > 10


def test_the_counts_are_written_last(few, run, tmp_path, kill_at, bundle):
    from service.jobs.folder import SUCCESS, JobFolder

    (few / "broken.jpg").write_text("not an image")
    (few / "notes.txt").touch()
    run(few, tmp_path / "out")
    folder = JobFolder(tmp_path / "out", pq.read_schema(tmp_path / "out" / "part-00000.parquet"))
    assert json.loads(folder.read(SUCCESS)) == {
        "rows": 11,
        "statuses": {"ok": 10, "unsupported_media_type": 1},
        "skipped": {".txt": 1},
    }
    newest = max((tmp_path / "out").rglob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == SUCCESS


def test_one_folder_has_one_job_at_a_time(few, run, tmp_path):
    import pyarrow as pa

    from service.jobs.folder import JobFolder

    with (
        JobFolder(tmp_path / "out", pa.schema([])).locked(),
        pytest.raises(ConfigError, match="another job is running"),
    ):
        run(few, tmp_path / "out")
    run(few, tmp_path / "out")


def test_an_output_that_cannot_be_a_folder_is_an_error(few, run, tmp_path):
    (tmp_path / "file").touch()
    for out in ("file", "file/below"):
        with pytest.raises(ConfigError, match=f"{out} cannot be written to: Not a directory"):
            run(few / "not-listed-before", tmp_path / out)


def test_an_output_that_may_not_be_written_to_is_an_error_before_the_sources_are_listed(
    few, run, tmp_path, monkeypatch
):
    import os

    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    with pytest.raises(ConfigError, match="out cannot be written to: Permission denied"):
        run(few / "not-listed-before", tmp_path / "out")


def test_progress_counts_what_was_done_before(few, run, tmp_path, small_shards):
    from contextlib import nullcontext
    from types import SimpleNamespace

    stages = []

    def progress(total, description, unit, initial=0):
        stages.append([description, total, unit, initial])
        return nullcontext(SimpleNamespace(update=lambda n=1: stages[-1].__setitem__(3, stages[-1][3] + n), note=print))

    run(few, tmp_path / "out")
    (tmp_path / "out" / "part-00001.parquet").unlink()
    run(few, tmp_path / "out", progress=progress)
    assert stages == [[f"listing {few}", 0, "files", 10], ["embedding", 10, "images", 10]]


def test_large_values_make_small_shards(few, run, tmp_path, monkeypatch):
    from service.jobs import spec

    monkeypatch.setattr(spec, "SHARD_BYTES", 4 * 512 * 4)
    run(few, tmp_path / "out", output="patches")
    assert [pq.read_metadata(part).num_rows for part in sorted((tmp_path / "out").glob("part-*"))] == [4, 4, 2]
