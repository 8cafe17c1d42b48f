"""The whole command on the golden bundle: every part is printed and recorded, mistakes are sentences, no server is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ijepa.cli import main
from models.bundle.reader import read_bundle
from service.bench.record import Bench

ROOT = Path(__file__).parents[3]
ENDLESS = """
import sys
from ijepa import cli
from service.commands import bench

bench.PEAK_SHARE = bench.ENGINE_SHARE = bench.DECODING_SHARE = 1e-6
sys.exit(cli.main(["bench", sys.argv[1], "--runtime", "fake", "--seconds", "60"]))
"""


@pytest.mark.parametrize("runtime", ["onnxruntime", "fake"])
def test_every_part_is_printed_and_recorded(runtime, golden, tmp_path, capsys):
    path = tmp_path / "bench.json"
    assert (
        main(["bench", str(golden), "--runtime", runtime, "--seconds", "0.05", "--clients", "3", "--json", str(path)])
        == 0
    )
    printed = capsys.readouterr().out
    record = Bench.model_validate_json(path.read_text())

    for part in (
        "machine ",
        "versions ",
        "GEMM peak float32",
        f"* {runtime} float32",
        "decode (exact)",
        "HTTP: 16 x 16 PNG",
    ):
        assert part in printed, part
    assert (record.format, record.bundle, record.bundle_sha256) == (1, "golden", read_bundle(golden).sha256)
    assert [(way.runtime, way.precision, way.chosen) for way in record.engine.ways] == [(runtime, "float32", True)]
    assert [decoding.image for decoding in record.decoding] == ["16 x 16 PNG", "500 x 375 JPEG", "12-megapixel JPEG"]
    assert (record.http.runtime, record.http.precision) == (runtime, "float32")
    assert [load.clients for load in record.http.loads] == [1, 3]
    for load in record.http.loads:
        assert load.answered >= load.clients
        assert load.failures == {}
        assert load.engine_share > 0
    assert not children_of(os.getpid())


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nowhere"], 1, "there is no bundle 'nowhere'"),
        (["{golden}", "--runtime", "fast"], 1, "runtime 'fast' is unknown"),
        (
            ["{golden}", "--runtime", "fake", "--precision", "int8"],
            1,
            "has no precision 'int8' on fake; it has float32",
        ),
        (["{golden}", "--seconds", "0"], 2, "--seconds is 0; it must be above 0 and at most 600"),
        (["{golden}", "--seconds", "nan"], 2, "--seconds is nan; it must be above 0"),
        (["{golden}", "--clients", "0"], 2, "--clients is 0; it must be from 1 to 1000"),
        (["{golden}", "--json", "nowhere/file"], 1, "nowhere for --json to write into"),
    ],
)
def test_mistakes_are_one_sentence_before_anything_is_measured(arguments, code, sentence, golden, capsys):
    assert main(["bench", *(argument.replace("{golden}", str(golden)) for argument in arguments)]) == code
    printed = capsys.readouterr()
    assert printed.err.startswith("ijepa bench: ")
    assert sentence in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system has no /proc to find the server in")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_no_server(number, golden):
    command = [sys.executable, "-c", ENDLESS, str(golden)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        deadline = time.monotonic() + 60
        while not (servers := children_of(process.pid)):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        before = cpu_of(servers[0])
        while cpu_of(servers[0]) < before + 1:  # it loads, and then it is being measured
            time.sleep(0.02)
        process.send_signal(number)
        _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed.splitlines()[-1] == "ijepa bench: interrupted; what was done is kept"
    assert not Path(f"/proc/{servers[0]}").exists()


def children_of(pid):
    """Ids of the servers that a process has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            line = (stat.parent / "cmdline").read_text()
        except OSError:
            continue
        if parent == pid and "serve" in line:
            found.append(int(stat.parent.name))
    return found


def cpu_of(pid):
    from service.bench.server import cpu_seconds

    return cpu_seconds(pid) or 0.0
