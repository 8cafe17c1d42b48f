"""`ijepa embed` as a user meets it."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from ijepa.cli import main
from tests.service.jobs.conftest import ids_of, rows_of, write_images


@pytest.fixture
def embed(golden, capsys):
    """A function from arguments to exit code, standard output and standard error."""

    def embed(*arguments, runtime="fake"):
        given = [str(argument) for argument in arguments]
        code = main(["embed", *given, "--bundle", str(golden), "--runtime", runtime])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return embed


def test_photographs_are_embedded(photos, embed, tmp_path):
    code, out, err = embed(photos, "--out", tmp_path / "out", runtime="onnxruntime")
    assert (code, out) == (0, f"100 rows in {tmp_path / 'out'}: 100 ok\n"), err
    rows = rows_of(tmp_path / "out")
    assert len(rows) == 100
    assert all(len(row["embedding"]) == 32 for row in rows)
    assert f"100 rows written; read all of them with pandas.read_parquet('{tmp_path / 'out'}')" in err


def test_what_was_left_out_is_said(few, embed, tmp_path):
    (few / "notes.txt").touch()
    (few / "more.txt").touch()
    (few / "README").touch()
    (few / "gone.png").symlink_to("nowhere")
    (few / "up").symlink_to(few)
    code, _, err = embed(few, "--out", tmp_path / "out")
    assert code == 0
    assert "ijepa embed: left out: 2 .txt, 1 dangling links, 1 link loops, 1 no suffix\n" in err


def test_a_folder_that_has_grown_is_told_and_what_to_do(few, embed, tmp_path):
    out = tmp_path / "out"
    assert "since this job began" not in embed(few, "--out", out)[2]
    write_images(few, [f"new{i:02d}.png" for i in range(12)])
    (few / "0000.png").unlink()
    code, output, err = embed(few, "--out", out)
    assert (code, output) == (0, f"10 rows in {out}: 10 ok\n")
    assert (
        "ijepa embed: since this job began: 12 new, 1 gone (0000.png; rows of images that are gone stay); "
        "to embed the new ones, add --update\n"
    ) in err

    code, output, err = embed(few, "--out", out, "--update")
    assert (code, output) == (0, f"22 rows in {out}: 22 ok\n")
    assert "12 new, 1 gone (0000.png; rows of images that are gone stay); the new ones were embedded\n" in err
    assert "12 rows written" in err


def test_of_many_images_that_are_gone_a_few_are_named(few, embed, tmp_path):
    embed(few, "--out", tmp_path / "out")
    for i in range(5):
        (few / f"{i:04d}.png").unlink()
    err = embed(few, "--out", tmp_path / "out")[2]
    assert "0 new, 5 gone (0000.png, 0001.png, 0002.png, and 2 more; rows of images that are gone stay)\n" in err


def test_a_run_that_finds_everything_done_says_so(few, embed, tmp_path):
    out = tmp_path / "out"
    embed(few, "--out", out)
    err = embed(few, "--out", out)[2]
    assert f"ijepa embed: all 10 rows were there already; read them with pandas.read_parquet('{out}')\n" in err
    assert "0 rows written" not in err


def test_limits_are_those_of_local_files_unless_the_environment_has_others(monkeypatch):
    from models.images.decode import LOCAL_LIMITS
    from service.commands.embed import limits_of
    from service.settings import read_settings

    assert limits_of(read_settings()) == LOCAL_LIMITS
    monkeypatch.setenv("IJEPA_MAX_PIXELS", "50000000")
    assert limits_of(read_settings()) == LOCAL_LIMITS._replace(max_pixels=50_000_000)
    monkeypatch.setenv("IJEPA_MAX_IMAGE_BYTES", "1000")
    assert limits_of(read_settings()) == LOCAL_LIMITS._replace(max_bytes=1000, max_pixels=50_000_000)


@pytest.mark.parametrize(
    ("setting", "status"), [("IJEPA_MAX_PIXELS", "image_too_large"), ("IJEPA_MAX_IMAGE_BYTES", "body_too_large")]
)
def test_the_row_of_an_image_that_is_too_large_names_the_setting(few, embed, tmp_path, monkeypatch, setting, status):
    monkeypatch.setenv(setting, "100")
    assert embed(few, "--out", tmp_path / "out")[0] == 0
    row = rows_of(tmp_path / "out")[0]
    assert row["status"] == status
    assert row["error"].endswith(f"; {setting} sets the limit")


def test_a_job_goes_on_with_the_runtime_that_it_began_with_whatever_is_fastest_now(few, embed, tmp_path, monkeypatch):
    from models.runtimes.select import open_runtime
    from service.commands import embed as command

    asked = []

    def recorded(name, bundle, threads, precision, *rest):
        asked.append((name, precision))
        return open_runtime("fake" if name == "cpu" else name, bundle, threads, precision, *rest)

    assert embed(few, "--out", tmp_path / "out", runtime="onnxruntime")[0] == 0
    (tmp_path / "out" / "part-00000.parquet").unlink()
    monkeypatch.setattr(command, "open_runtime", recorded)
    assert embed(few, "--out", tmp_path / "out", runtime="cpu")[0] == 0
    assert asked == [("onnxruntime", "float32")]
    assert embed(few, "--out", tmp_path / "new", runtime="cpu")[0] == 0
    assert embed(few, "--out", tmp_path / "out", "--overwrite", runtime="cpu")[0] == 0
    assert asked[1:] == [("cpu", "auto"), ("cpu", "auto")]


def test_update_and_overwrite_contradict(few, embed, tmp_path):
    code, _, err = embed(few, "--out", tmp_path / "out", "--update", "--overwrite")
    assert (code, "give one of them" in err) == (2, True)


def test_options_reach_the_job(few, embed, tmp_path):
    import pyarrow.parquet as pq

    (few / "photo").write_bytes((few / "0000.png").read_bytes())
    options = ["--output", "patches", "--dtype", "float16", "--normalize", "--fit", "squash", "--by-suffix"]
    assert embed(few, "--out", tmp_path / "out", *options)[0] == 0
    schema = pq.read_schema(tmp_path / "out" / "part-00000.parquet")
    assert str(schema.field("patches").type) == "fixed_size_list<element: halffloat>[512]"
    assert schema.metadata[b"ijepa.normalize"] == b"true"
    assert schema.metadata[b"ijepa.fit"] == b"squash"
    assert "photo" not in ids_of(tmp_path / "out")


def test_sources_are_given_as_for_training(embed, tmp_path):
    assert embed("synthetic:3", "synthetic:2", "--out", tmp_path / "out")[0] == 0
    assert ids_of(tmp_path / "out") == [f"{source}/{i:08d}" for source, count in ((0, 3), (1, 2)) for i in range(count)]


def test_fashion_mnist_is_embedded_by_the_bundled_model(fashion_mnist, tmp_path, capsys, monkeypatch):
    from models.images.sources import idx, table

    (images,) = fashion_mnist.glob("t10k-images-idx3-ubyte*")
    pixels = idx.read_idx(images)[:20]
    small = idx.Arrays(pixels, None, (), "twenty images", "fashion-mnist:test")
    member = table.SOURCES["fashion-mnist"]
    monkeypatch.setitem(table.SOURCES, "fashion-mnist", member._replace(open=lambda *_: small))
    assert main(["embed", "fashion-mnist:test", "--out", str(tmp_path / "out"), "--runtime", "onnxruntime"]) == 0
    assert capsys.readouterr().out.endswith("20 ok\n")
    assert rows_of(tmp_path / "out")[3]["uri"] == "fashion-mnist:test#00000003"


@pytest.fixture
def many(tmp_path):
    """Enough images that a signal arrives while they are embedded, a broken one, and a file that is not an image."""
    root = tmp_path / "many"
    write_images(root, [f"{'even' if i % 2 == 0 else 'odd'}/{i:04d}.png" for i in range(2000)])
    (root / "broken.jpg").write_bytes(b"not an image")
    (root / "notes.txt").write_text("left out")
    return root


def start(many, out, golden, **options):
    command = [sys.executable, "-m", "ijepa", "embed", str(many), "--out", str(out)]
    environment = {**os.environ, "IJEPA_THREADS": "1", "IJEPA_MAX_BATCH": "16"}
    return subprocess.Popen(
        [*command, "--bundle", str(golden), "--runtime", "onnxruntime"], env=environment, text=True, **options
    )


def wait_for_another_part(out, process):
    """Until the job runs and there is one more part, or two in all. Python itself exits with 1 where SIGINT meets its own start."""
    while not (out / ".job" / "lock").exists() and process.poll() is None:
        time.sleep(0.001)
    before = len(list(out.glob("part-*")))
    while len(list(out.glob("part-*"))) == before and before < 2 and process.poll() is None:
        time.sleep(0.001)


def test_killed_half_way_and_started_again_it_has_every_row_once(many, golden, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(many, whole, golden, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL).wait() == 0
    assert len(list(whole.glob("part-*"))) == 3
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        (killed / ".job" / "lock").unlink(missing_ok=True)
        process = start(many, killed, golden, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for_another_part(killed, process)
        time.sleep(random.random() * 0.05)
        process.send_signal(number)
        assert process.wait() in (-number, 75, 130, 0)
    again = start(many, killed, golden, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    out, err = again.communicate()

    rows = rows_of(killed)
    assert len(rows) == len({row["id"] for row in rows}) == 2001
    assert rows == rows_of(whole)
    assert out == f"2001 rows in {killed}: 2000 ok, 1 unsupported_media_type\n"
    assert "left out: 1 .txt\n" in err
    assert not list(killed.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (signal.SIGTERM, 75, "ijepa embed: stopped; finished parts are kept, run the same command again to go on"),
        (signal.SIGINT, 130, "interrupted; what was done is kept"),
    ],
)
def test_a_signal_ends_it_with_its_own_code(many, golden, tmp_path, number, code, message):
    process = start(many, tmp_path / "out", golden, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    while not (tmp_path / "out" / ".job" / "spec.parquet").exists():
        time.sleep(0.001)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == code
    assert message in err
    assert "Traceback" not in err
