"""The benchmark of sources reads what it wrote."""

from benchmarks.sources import LAYOUTS, main, rows
from models.images.sources.table import open_source


def test_every_layout_is_written_and_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "")  # restored after the test
    found = dict(rows(tmp_path, count=20, size=50, reads=10, rounds=2))
    assert list(found) == list(LAYOUTS)
    for layout, values in found.items():
        assert min(values.values()) > 0
        source = open_source(f"{layout}:{tmp_path / f'images.{layout}'}")
        assert len(source) == 20
        assert len({source.read(index) for index in range(20)}) == 20


def test_it_prints_a_row_for_each_layout(monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    main(["--count", "10", "--bytes", "20", "--reads", "5", "--rounds", "1"])
    assert [line.split(" ")[1] for line in capsys.readouterr().out.splitlines()[-3:]] == list(LAYOUTS)
