import json

import pyarrow as pa
import pytest

from models.io import atomic_write
from service.jobs.sinks.base import Outcome, Shape, as_table, schema_of
from service.jobs.sinks.table import SINKS


class Lines:
    """JSON lines: what a new sink would look like."""

    def path(self, folder, shard):
        return folder / f"part-{shard:05d}.jsonl"

    def files(self, folder):
        return [*folder.glob("part-*.jsonl")]

    def write(self, folder, shard, rows):
        atomic_write(self.path(folder, shard), "".join(json.dumps(row) + "\n" for row in rows.to_pylist()))

    def statuses(self, folder, shard):
        return [json.loads(line)["status"] for line in self.path(folder, shard).read_text().splitlines()]

    def how_to_read(self, folder):
        return f"pandas.read_json({str(folder / 'part-00000.jsonl')!r}, lines=True)"


@pytest.fixture
def lines(monkeypatch):
    monkeypatch.setitem(SINKS, "jsonl", Lines())


def test_a_new_sink_is_one_line_of_the_table(few, run, tmp_path, lines, small_shards):
    out = tmp_path / "out"
    (few / "0001.png").write_text("not an image")
    report = run(few, out, sink="jsonl")
    assert report.statuses == {"ok": 9, "unsupported_media_type": 1}
    rows = [json.loads(line) for part in sorted(out.glob("part-*.jsonl")) for line in part.read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"{i:04d}.png" for i in range(10)]
    assert len(rows[0]["embedding"]) == 32
    assert rows[1]["embedding"] is None

    (out / "part-00002.jsonl").unlink()
    assert run(few, out, sink="jsonl").written == 3
    run(few, out, overwrite=True)
    assert not list(out.glob("*.jsonl"))
    assert len(list(out.glob("*.parquet"))) == 4


def test_a_new_sink_is_a_choice_of_the_command(few, golden, tmp_path, lines, capsys):
    from ijepa.cli import main

    arguments = ["embed", str(few), "--bundle", str(golden), "--runtime", "fake", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--format", "jsonl"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"10 rows in {tmp_path / 'out'}: 10 ok\n"
    assert "pandas.read_json(" in captured.err
    assert main([*arguments, "--format", "parquet"]) == 1
    assert "sink was 'jsonl', is 'parquet'" in capsys.readouterr().err


@pytest.mark.parametrize("grid", [None, (2, 3)])
def test_a_table_has_the_columns_of_the_schema_when_every_row_failed(grid):
    from service.jobs.listing import Row

    shape = Shape(12, "float16", grid)
    table = as_table([Outcome(Row("a", "b"), None, None, None, "internal", "why")], shape, {"key": "value"})
    assert table.schema.equals(schema_of(shape, {"key": "value"}), check_metadata=True)
    assert table.num_rows == 1
    assert table.column(5).null_count == 1
    table.validate(full=True)
    assert isinstance(table, pa.Table)
