import csv

import pytest

from models.errors import CheckpointError
from training.loggers.csv import CsvLogger, CsvSettings, read_rows

COLUMNS = ("step", "loss", "explained_variance")


def test_rows_after_the_step_a_run_continues_from_are_dropped(tmp_path):
    first = CsvLogger(CsvSettings(), tmp_path, 0, COLUMNS)
    for step in (1, 2, 3):
        first.write({"step": step, "loss": step / 3, "explained_variance": 0.5})
    first.close()
    again = CsvLogger(CsvSettings(), tmp_path, 2, COLUMNS)
    again.write({"step": 3, "loss": 9.0, "explained_variance": 0.5})
    again.close()

    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [(row["step"], row["loss"]) for row in rows] == [("1", "0.333333"), ("2", "0.666667"), ("3", "9")]


def test_a_log_of_an_earlier_version_keeps_its_rows_under_the_new_name(tmp_path):
    (tmp_path / "log.csv").write_text("step,loss,skill\n1,0.5,-2.5\n2,0.4,-1.5\n")
    CsvLogger(CsvSettings(), tmp_path, 2, COLUMNS).close()

    assert (tmp_path / "log.csv").read_text() == "step,loss,explained_variance\n1,0.5,-2.5\n2,0.4,-1.5\n"


def test_a_last_line_that_was_cut_short_is_dropped(tmp_path):
    (tmp_path / "log.csv").write_text("step,loss,explained_variance\n1,0.5,0.1\n\n")
    assert [row["step"] for row in read_rows(tmp_path / "log.csv", 9)] == ["1"]
    assert read_rows(tmp_path / "nowhere.csv", 9) == []


def test_damaged_rows_are_left_out_with_one_warning(tmp_path, caplog):
    log = tmp_path / "log.csv"
    damaged = [b"2,0.5", b"3,\0\0\0,0.1", b"4,0.5,\xff\xfe", b'"5,0.5,0.1', b"x,0.5,0.1", b"6,1,1,1", b"-7,1,1"]
    log.write_bytes(b"\n".join([b"step,loss,explained_variance", b"1,0.5,0.1", *damaged, b"8,nan,", b"9,0.5,0."]))

    CsvLogger(CsvSettings(), tmp_path, 9, COLUMNS).close()

    assert log.read_text() == "step,loss,explained_variance\n1,0.5,0.1\n8,nan,\n"
    assert [record.getMessage() for record in caplog.records] == [f"{log}: 8 damaged rows are left out"]


def test_an_unreadable_header_leaves_an_empty_log(tmp_path):
    for header in (b"", b"\0\0\0\n1,2,3\n", b"\xff\n"):
        (tmp_path / "log.csv").write_bytes(header)
        assert read_rows(tmp_path / "log.csv", 9) == []


def test_a_log_that_is_too_large_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("training.loggers.csv.MAX_LOG_BYTES", 10)
    (tmp_path / "log.csv").write_text("step,loss,explained_variance\n1,0.5,0.1\n")
    with pytest.raises(CheckpointError, match=r"log\.csv cannot be read: it has"):
        read_rows(tmp_path / "log.csv", 9)
