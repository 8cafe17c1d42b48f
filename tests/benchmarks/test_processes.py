"""Processes of a benchmark end with it."""

import subprocess
import sys

import pytest

from benchmarks.processes import ProcessError, descendants, run_to_end, started

SPAWN = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("started", os.environ["BENCHMARK_PROCESS"], flush=True)
time.sleep(600)
"""


def fail_while_it_runs(log):
    with started([sys.executable, "-c", SPAWN], {}, log, ready=lambda: "started" in log.read_text()):
        assert len(descendants(log.read_text().split()[1])) == 2
        raise RuntimeError("the client failed")


def test_a_descendant_in_a_session_of_its_own_is_stopped_too_also_after_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="the client failed"):
        fail_while_it_runs(tmp_path / "log")
    assert descendants((tmp_path / "log").read_text().split()[1]) == []


def test_a_process_that_ends_before_it_is_ready_says_why(tmp_path):
    command = [sys.executable, "-c", "import sys; sys.exit('no such model')"]
    with (
        pytest.raises(ProcessError, match="ended with code 1: no such model"),
        started(command, {}, tmp_path / "log", ready=lambda: False),
    ):
        pass


def test_a_process_that_is_never_ready_is_stopped(tmp_path):
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with (
        pytest.raises(ProcessError, match="was not ready after 0 s: it printed nothing"),
        started(command, {}, tmp_path / "log", ready=lambda: False, timeout_s=0.1),
    ):
        pass


def test_a_command_that_fails_says_why(tmp_path):
    with pytest.raises(ProcessError, match="ended with code 3: half way"):
        run_to_end([sys.executable, "-c", "print('half way'); raise SystemExit(3)"], {}, tmp_path / "log", 60)


def test_a_benchmark_that_is_asked_to_end_stops_what_it_started(tmp_path):
    log = tmp_path / "log"
    code = f"""
import sys, time
from pathlib import Path
from benchmarks.processes import end_on_sigterm, started
log = Path({str(log)!r})
end_on_sigterm()
with started([sys.executable, "-c", {SPAWN!r}], {{}}, log, ready=lambda: "started" in log.read_text()):
    print(log.read_text().split()[1], flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as benchmark:
        mark = benchmark.stdout.readline().strip()
        benchmark.terminate()
    assert mark
    assert descendants(mark) == []
