import os
import signal
import subprocess
import sys

import pytest

from models.bundle.reader import read_bundle
from models.errors import ConfigError
from service.bench import server
from service.settings import read_settings

DEAF = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(flush=True); time.sleep(60)"


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_runs_for_as_long_as_the_block(golden, monkeypatch, tmp_path):
    """Started in a folder that has modules of the same names."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    settings = read_settings(bundle=(str(golden),), runtime="fake", threads=1)
    with server.running_server(read_bundle(golden), settings) as running:
        assert (running.runtime, running.precision) == ("fake", "float32")
        assert running.batch_size >= 1
        assert server.cpu_seconds(running.pid) is None or server.cpu_seconds(running.pid) > 0
    assert not is_running(running.pid)
    assert server.cpu_seconds(running.pid) is None


def test_a_server_that_does_not_start_says_why(golden):
    settings = read_settings(bundle=(str(golden),), runtime="fake", precision="int8")
    expected = "the server ended before it was ready: ijepa serve: bundle golden has no precision 'int8' on fake"
    with pytest.raises(ConfigError, match=expected), server.running_server(read_bundle(golden), settings):
        pass


def test_a_server_that_is_never_ready_is_stopped(golden, monkeypatch):
    monkeypatch.setattr(server, "START_SECONDS", 0)
    started = []
    monkeypatch.setattr(server, "stop", lambda process: started.append(process) or process.kill() or process.wait())
    settings = read_settings(bundle=(str(golden),), runtime="fake")
    expected = pytest.raises(ConfigError, match="was not ready within 0 s")
    with expected, server.running_server(read_bundle(golden), settings):
        pass
    assert not is_running(started[0].pid)


def test_a_process_that_does_not_listen_is_killed():
    process = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE)
    with process:
        process.stdout.readline()
        server.stop(process, patience=0.1)
    assert process.returncode == -signal.SIGKILL
