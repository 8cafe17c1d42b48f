"""Which rows a job has, and where they are found."""

import pytest

from models.errors import ConfigError, DataError
from tests.service.jobs.conftest import ids_of, rows_of, write_images


def test_the_listing_is_fixed_when_a_job_starts(few, run, tmp_path):
    """An image that comes later is not in it; one that is gone is a row that says so."""
    out = tmp_path / "out"
    run(few, out)
    names = ids_of(out)
    (out / "part-00000.parquet").unlink()
    (few / "0000.png").unlink()
    (few / "new.png").write_bytes((few / "0002.png").read_bytes())
    run(few, out)

    assert ids_of(out) == names
    assert (rows_of(out)[0]["status"], rows_of(out)[0]["error"]) == (
        "not_found",
        "the image is not in its source any more, or may not be read",
    )


@pytest.mark.parametrize("sources", [1, 2])
def test_a_listed_image_that_a_listing_of_today_leaves_out_is_read(few, run, tmp_path, sources):
    """It was listed through a link to a folder that is now listed by its own path."""
    (few / "latest").symlink_to(tmp_path / "other")
    write_images(tmp_path / "other", ["a.png"])
    out = tmp_path / "out"
    run([few] * sources, out)
    expected = rows_of(out)
    assert [row["id"] for row in expected if "latest" in row["id"]]
    (out / "part-00000.parquet").unlink()
    (tmp_path / "other").rename(few / "moved")
    (few / "latest").unlink()
    (few / "latest").symlink_to(few / "moved")
    report = run([few] * sources, out)
    assert rows_of(out) == expected
    assert not report.changes.gone
    assert report.skipped == {"links to folders listed already": sources}


def test_numbered_images_are_found_by_ids_of_another_width(tmp_path):
    from service.jobs.listing import Sources

    sources = Sources(["synthetic:11"])
    assert sources.read("03") == sources.read("00000003")
    assert "10" in sources
    assert "11" not in sources
    with pytest.raises(DataError, match="synthetic:11 does not have an image '11'"):
        sources.read("11")


def test_another_way_of_listing_is_an_error_that_names_it(few, run, tmp_path):
    run(few, tmp_path / "out")
    with pytest.raises(ConfigError, match="other settings: by_suffix was False, is True"):
        run(few, tmp_path / "out", by_suffix=True)


def test_a_file_that_vanishes_while_the_job_runs_is_a_row(few, run, tmp_path, monkeypatch):
    from models.images.sources.folder import Folder

    has = Folder.has

    def vanish(self, item_id):
        there = has(self, item_id)
        if item_id == "0003.png":
            (few / item_id).unlink()
        return there

    monkeypatch.setattr(Folder, "has", vanish)
    run(few, tmp_path / "out")
    assert rows_of(tmp_path / "out")[3]["status"] == "not_found"
    assert "No such file" in rows_of(tmp_path / "out")[3]["error"]


def test_a_finished_job_can_be_opened_without_its_sources_and_an_unfinished_one_cannot(few, run, tmp_path):
    out = tmp_path / "out"
    run(few, out)
    few.rename(tmp_path / "moved")
    report = run(few, out)
    assert (report.statuses, report.written, report.skipped) == ({"ok": 10}, 0, {})
    with pytest.raises(DataError, match="there is no file or folder"):
        run(few, out, update=True)
    (out / "part-00000.parquet").unlink()
    with pytest.raises(DataError, match="there is no file or folder"):
        run(few, out)


def test_a_name_that_is_not_utf8_is_told(few, run, tmp_path):
    import os

    (few / os.fsdecode(b"caf\xe9.png")).write_bytes((few / "0000.png").read_bytes())
    with pytest.raises(DataError, match="is not UTF-8; rename"):
        run(few, tmp_path / "out")


def test_two_equal_ids_are_an_error(run, tmp_path, monkeypatch):
    from models.images.sources.base import Item
    from models.images.sources.synthetic import Synthetic

    monkeypatch.setattr(Synthetic, "item", lambda *_: Item("same", "somewhere"))
    with pytest.raises(DataError, match="two images of synthetic:2 have the id 'same'"):
        run("synthetic:2", tmp_path / "out")


@pytest.mark.parametrize("source", ["nowhere", "in"])
def test_nothing_to_embed_is_an_error(run, tmp_path, source):
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match=r"there is no file or folder|no images in .*; it holds nothing"):
        run(tmp_path / source, tmp_path / "out")


def test_ten_thousand_rows_have_their_shards(bundle):
    from service.jobs.listing import Listing, Row, listing_from_bytes, listing_to_bytes

    listing = Listing([], []).extended([Row(str(i), "") for i in range(10_000)], 1000).extended([Row("x", "y")], 1000)
    assert {shard: len(rows) for shard, rows in listing.by_shard().items()} == {**dict.fromkeys(range(10), 1000), 10: 1}
    assert listing_from_bytes(listing_to_bytes(listing)) == listing


def test_a_linked_folder_is_embedded(few, run, tmp_path):
    write_images(tmp_path / "elsewhere", ["a.png"])
    (few / "linked").symlink_to(tmp_path / "elsewhere")
    (few / "gone.png").symlink_to("nowhere")
    report = run(few, tmp_path / "out")
    assert ids_of(tmp_path / "out")[-1] == "linked/a.png"
    assert report.skipped == {"dangling links": 1}


@pytest.mark.parametrize("layout", ["folder", "tar", "zip", "parquet", "jsonl", "base64", "list"])
def test_a_job_embeds_every_kind_of_source_alike(layout, run, tmp_path):
    from tests.sources import noise_images, write_layouts

    (tmp_path / "set").mkdir()
    uris = write_layouts(tmp_path / "set", noise_images(5))
    for name in ("folder", layout):
        run(uris[name], tmp_path / f"out-{name}")
    expected, rows = rows_of(tmp_path / "out-folder"), rows_of(tmp_path / f"out-{layout}")
    assert [row["status"] for row in rows] == ["ok"] * 5
    for name in ("sha256", "width", "embedding"):
        assert [row[name] for row in rows] == [row[name] for row in expected]
    report = run(uris[layout], tmp_path / f"out-{layout}")
    assert not report.written
    assert not any(report.changes)
