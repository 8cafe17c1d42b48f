"""The obvious call of each library reads a job, finished or not: the job's own files are where none of them looks."""

import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

LOAD_DATASET = """
import sys
import datasets
datasets.disable_progress_bars()
rows = datasets.load_dataset("parquet", data_dir=sys.argv[1], split="train", cache_dir=sys.argv[2])
assert rows.column_names == ["id", "uri", "sha256", "width", "height", "embedding", "status", "error"], rows.column_names
print(*rows["id"])
"""


def read_with_pyarrow(out, scratch):
    return pq.read_table(out)["id"].to_pylist()


def read_with_pandas(out, scratch):
    return list(pytest.importorskip("pandas").read_parquet(out)["id"])


def read_with_polars(out, scratch):
    return pytest.importorskip("polars").read_parquet(out)["id"].to_list()


def read_with_duckdb(out, scratch):
    return [
        row[0] for row in pytest.importorskip("duckdb").sql(f"select id from '{out}/*.parquet' order by id").fetchall()
    ]


def read_with_datasets(out, scratch):
    """In a process of its own: its settings are read when it is imported."""
    pytest.importorskip("datasets")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(scratch)}
    command = [sys.executable, "-c", LOAD_DATASET, str(out), str(scratch / "cache")]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()


READERS = [read_with_pyarrow, read_with_pandas, read_with_polars, read_with_duckdb, read_with_datasets]


@pytest.fixture
def job(few, run, tmp_path, small_shards):
    """A job of four parts with one row that failed."""
    (few / "0004.png").write_text("not an image")
    run(few, tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_a_finished_job_is_read(job, read, tmp_path):
    assert read(job, tmp_path / "scratch") == [f"{i:04d}.png" for i in range(10)]


@pytest.mark.parametrize("read", READERS[:-1], ids=lambda read: read.__name__)
def test_a_job_is_read_while_it_runs(job, read, tmp_path):
    (job / ".job" / "_SUCCESS.parquet").unlink()
    (job / "part-00003.parquet").unlink()
    assert read(job, tmp_path / "scratch") == [f"{i:04d}.png" for i in range(9)]


@pytest.mark.parametrize("read", READERS[:-1], ids=lambda read: read.__name__)
def test_an_updated_job_is_read(job, few, run, read, tmp_path):
    (few / "new.png").write_bytes((few / "0000.png").read_bytes())
    run(few, job, update=True)
    assert sorted(read(job, tmp_path / "scratch")) == [f"{i:04d}.png" for i in range(10)] + ["new.png"]


def test_patches_are_read_too(few, run, tmp_path):
    run(few, tmp_path / "out", output="patches", dtype="float16")
    for read in (read_with_pyarrow, read_with_pandas, read_with_polars):
        assert len(read(tmp_path / "out", tmp_path)) == 10


def test_embeddings_are_stacked_by_one_line(job):
    df = pytest.importorskip("pandas").read_parquet(job)
    assert df.embedding.isna().sum() == 1
    with pytest.raises(ValueError, match="same shape"):
        np.stack(df.embedding)

    rows = df[df.status == "ok"]; embeddings = np.stack(rows.embedding)  # noqa: E702  # fmt: skip

    assert embeddings.shape == (9, 32)
    assert embeddings.dtype == np.float32


def test_the_line_that_a_sink_prints_reads_all_rows(job):
    from service.jobs.sinks.table import SINKS

    pandas = pytest.importorskip("pandas")
    assert len(eval(SINKS["parquet"].how_to_read(job), {"pandas": pandas})) == 10


def test_own_files_have_the_columns_of_the_parts_and_no_rows(job):
    own = [path for path in (job / ".job").iterdir() if path.stat().st_size]
    assert {path.name for path in own} == {"spec.parquet", "listing.parquet", "_SUCCESS.parquet"}
    for path in own:
        assert pq.read_table(path).num_rows == 0
        assert pq.read_schema(path).equals(pq.read_schema(job / "part-00000.parquet"))
