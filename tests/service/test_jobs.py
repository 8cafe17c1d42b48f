import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from models.bundle import read_bundle
from models.errors import ConfigError, DataError
from models.session import Session


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """2,000 pictures in two folders and one broken file."""
    root = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(0)
    for i in range(2000):
        path = root / ("even" if i % 2 == 0 else "odd") / f"{i:04d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (16, 16 + i % 5, 3), dtype=np.uint8)).save(path, compress_level=1)
    (root / "broken.jpg").write_bytes(b"no picture")
    (root / "notes.txt").write_text("left out")
    return root


@pytest.fixture
def few(tmp_path, pictures):
    """Ten of them."""
    root = tmp_path / "few"
    root.mkdir()
    for path in sorted((pictures / "even").iterdir())[:10]:
        (root / path.name).write_bytes(path.read_bytes())
    return root


@pytest.fixture
def engine(golden):
    from service.engine import Device, Engine
    from service.runtimes import open_runtime
    from service.settings import read_settings

    settings, bundle = read_settings(threads=1), read_bundle(golden)
    return Engine(bundle, open_runtime("cpu", bundle, 1), settings, Device(), lambda *_: None)


def run(sources, out, engine, overwrite=False, **options):
    from service.engine import EmbedOptions
    from service.jobs.runner import run_job

    return run_job([str(source) for source in sources], out, engine, EmbedOptions(**options), overwrite)


def read(out):
    return [row for part in sorted(out.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]


def command(sources, out, golden):
    return [
        sys.executable,
        "-m",
        "ijepa",
        "embed",
        str(sources),
        "--out",
        str(out),
        "--bundle",
        str(golden),
        "--runtime",
        "cpu",
    ]


def test_killed_half_way_and_started_again_it_has_every_row_once(pictures, golden, tmp_path):
    environment = {**os.environ, "IJEPA_THREADS": "1", "IJEPA_MAX_BATCH": "16"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(pictures, whole, golden), check=True, env=environment, capture_output=True)
    parts = len(list(whole.glob("part-*")))
    assert parts == 3
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen(command(pictures, killed, golden), env=environment, stderr=subprocess.DEVNULL)
        done = len(list(killed.glob("part-*")))
        while len(list(killed.glob("part-*"))) == done and done < 2 and process.poll() is None:
            time.sleep(0.001)
        time.sleep(random.random() * 0.05)
        process.send_signal(number)
        assert process.wait() in (-number, 75, 0)
    again = subprocess.run(
        command(pictures, killed, golden), check=True, env=environment, capture_output=True, text=True
    )

    rows = read(killed)
    assert len(rows) == len({row["id"] for row in rows}) == 2001
    assert rows == read(whole)
    assert json.loads((killed / "_SUCCESS.json").read_text())["statuses"] == {"ok": 2000, "unsupported_media_type": 1}
    assert again.stdout == f"2001 rows in {killed}: 2000 ok, 1 unsupported_media_type\n"
    assert "1 .txt" in again.stderr
    assert not list(killed.glob(".*.tmp"))


def test_rows_are_those_of_the_contract(few, golden, engine, tmp_path):
    import hashlib

    (few / "0000.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    run([few], tmp_path / "out", engine)
    table = pq.read_table(tmp_path / "out" / "part-00000.parquet")
    rows = table.to_pylist()

    assert table.schema.names == ["id", "uri", "sha256", "width", "height", "embedding", "status", "error"]
    assert str(table.schema.field("embedding").type) == "fixed_size_list<element: float>[32]"
    metadata = {
        key.decode(): value.decode() for key, value in table.schema.metadata.items() if key.startswith(b"ijepa.")
    }
    assert metadata["ijepa.bundle"] == "golden"
    assert metadata["ijepa.bundle_sha256"] == read_bundle(golden).sha256
    assert (metadata["ijepa.pooling"], metadata["ijepa.fit"], metadata["ijepa.precision"]) == (
        "mean",
        "crop",
        "float32",
    )
    assert (rows[0]["status"], rows[0]["embedding"], rows[0]["width"]) == ("invalid_image", None, None)
    assert rows[0]["error"]
    data = (few / rows[1]["id"]).read_bytes()
    with Image.open(few / rows[1]["id"]) as image:
        assert (rows[1]["width"], rows[1]["height"]) == image.size
        side = (image.width - 16) / 2
        pixels = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR, box=(side, 0, side + 16, 16)))
    assert rows[1]["sha256"] == hashlib.sha256(data).hexdigest()
    (expected,) = Session(read_bundle(golden).path("encoder.onnx")).run(["mean"], pixels=pixels[None])
    assert np.abs(np.array(rows[1]["embedding"]) - expected[0]).max() < 1e-5


def test_patches_are_flat_with_their_grid(few, engine, tmp_path):
    run([few], tmp_path / "out", engine, output="patches", dtype="float16")
    table = pq.read_table(tmp_path / "out" / "part-00000.parquet")

    assert str(table.schema.field("patches").type) == "fixed_size_list<element: halffloat>[512]"
    assert {(row["gh"], row["gw"]) for row in table.select(["gh", "gw"]).to_pylist()} == {(4, 4)}


def test_several_sources_put_their_index_before_the_id(few, engine, tmp_path):
    run([few, few], tmp_path / "out", engine)
    ids = [row["id"] for row in read(tmp_path / "out")]
    assert ids == [f"{i}/{path.name}" for i in range(2) for path in sorted(few.iterdir())]


def test_other_options_in_the_same_folder_are_an_error_that_names_them(few, engine, tmp_path):
    out = tmp_path / "out"
    run([few], out, engine)
    with pytest.raises(ConfigError, match="pooling was 'mean', is 'last4'; use another --out"):
        run([few], out, engine, pooling="last4")
    run([few], out, engine, overwrite=True, pooling="last4")
    assert len(read(out)[0]["embedding"]) == 128


def test_the_listing_is_fixed_when_a_job_starts(few, engine, tmp_path):
    """A picture that comes later is not in it; one that has gone is a row that says so."""
    out = tmp_path / "out"
    run([few], out, engine)
    names = [row["id"] for row in read(out)]
    (out / "part-00000.parquet").unlink()
    (few / "0000.png").unlink()
    (few / "new.png").write_bytes((few / "0002.png").read_bytes())
    run([few], out, engine)

    assert [row["id"] for row in read(out)] == names
    assert read(out)[0]["status"] == "not_found"


def test_a_folder_with_other_things_in_it_is_left_alone(few, engine, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="holds no job but other files"):
        run([few], tmp_path / "out", engine)
    with pytest.raises(DataError, match="holds no job but"):
        run([few], tmp_path / "out", engine, overwrite=True)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_overwriting_checks_everything_before_it_deletes_anything(few, engine, tmp_path):
    from service.errors import UnsupportedOption

    out = tmp_path / "out"
    run([few], out, engine)
    before = read(out)
    with pytest.raises(UnsupportedOption, match="pooling 'maen' is not in model golden, which has mean, last4"):
        run([few], out, engine, overwrite=True, pooling="maen")
    with pytest.raises(DataError, match="there is no file or folder"):
        run([few / "nowhere"], out, engine, overwrite=True)
    assert read(out) == before
    assert (out / "_SUCCESS.json").exists()


def test_a_beginning_cut_short_by_a_kill_is_begun_again(few, engine, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in (".listing.parquet.tmp", ".job.json.tmp", "listing.parquet"):
        (out / name).write_bytes(b"half")
    run([few], out, engine)
    assert len(read(out)) == 10


def test_a_name_that_is_no_text_is_told(few, engine, tmp_path):
    import os

    (few / os.fsdecode(b"caf\xe9.png")).write_bytes((few / "0000.png").read_bytes())
    with pytest.raises(DataError, match="is not UTF-8; rename"):
        run([few], tmp_path / "out", engine)


def test_one_folder_has_one_job_at_a_time(few, engine, tmp_path):
    from service.jobs.runner import only_one

    with only_one(tmp_path / "out"), pytest.raises(ConfigError, match="another job is running"):
        run([few], tmp_path / "out", engine)


@pytest.mark.parametrize("make", [lambda root: root / "nowhere", lambda root: root])
def test_nothing_to_embed_is_an_error(engine, tmp_path, make):
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match=r"there is no file|no pictures in"):
        run([make(tmp_path / "in")], tmp_path / "out", engine)
