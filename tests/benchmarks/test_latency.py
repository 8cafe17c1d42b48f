"""The latency benchmark ends when its server does."""

import subprocess
import sys

import pytest

from benchmarks.latency import listening


def started(code):
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def test_a_server_that_does_not_start_ends_the_benchmark_with_what_it_printed():
    message = r"(?s)ended with code 1 before it was ready:\nfirst\nno such bundle\n"
    code = "import sys; print('first', file=sys.stderr); sys.exit('no such bundle')"
    with started(code) as process, pytest.raises(SystemExit, match=message):
        listening(process)


def test_the_address_of_a_server_that_starts_is_what_it_printed():
    with started("import sys; print('x\\nlistening on http://127.0.0.1:81', file=sys.stderr)") as process:
        assert listening(process) == "127.0.0.1:81"
