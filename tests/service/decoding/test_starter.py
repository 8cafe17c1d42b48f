"""The process that starts workers: it comes back when it ended, waits when it cannot, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from service.decoding.base import workers_supported
from service.decoding.process import Worker
from service.decoding.starter import FIRST_WAIT, Starter
from service.errors import NotReady
from tests.models.images.hostile_files import encoded, noise
from tests.service.decoding.running import SMALL, gone, slow, wait_until

DATA = encoded(noise(8, 8))

pytestmark = pytest.mark.skipif(not workers_supported(), reason="this system has no workers")


@pytest.fixture
def own_starter():
    starter = Starter()
    yield starter
    starter.close()


def test_where_the_launcher_ends_the_workers_end_and_new_ones_start(own_starter):
    worker = Worker(own_starter, light=False)
    thread, result = slow(worker)
    pid, launcher = worker.pid, worker._process.launcher
    os.kill(launcher, signal.SIGKILL)
    thread.join(20)
    assert isinstance(result[0], NotReady)
    wait_until(lambda: gone(pid))
    assert worker.read_pixels(DATA, SMALL)[1] == (8, 8)
    assert worker._process.launcher != launcher
    worker.close()


def test_signals_for_all_processes_of_a_terminal_do_not_end_workers(own_starter):
    worker = Worker(own_starter, light=True)
    worker.start()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker.pid, number)
        os.kill(worker._process.launcher, number)
    assert worker.read_pixels(DATA, SMALL)[1] == (8, 8)
    assert worker.restarts == 0
    worker.close()


def test_after_a_start_that_failed_the_next_one_waits(monkeypatch):
    now = [100.0]
    starter = Starter(lambda: now[0])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    worker = Worker(starter, light=True)
    with pytest.raises(NotReady, match="the process that starts decoders ended"):
        worker.read_pixels(DATA, SMALL)
    monkeypatch.undo()
    with pytest.raises(NotReady, match="try again"):
        worker.read_pixels(DATA, SMALL)
    now[0] += FIRST_WAIT
    assert worker.read_pixels(DATA, SMALL)[1] == (8, 8)
    worker.close()
    starter.close()


@pytest.mark.parametrize("how", ["kill", "exit"])
def test_nothing_stays_when_the_server_dies(how, tmp_path):
    """Started in a folder with modules of the same names, with a listening socket open."""
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "__init__.py").write_text("raise RuntimeError('another project')")
    script = """
        import os, signal, socket, sys, threading
        sys.path[:0] = [sys.argv[1]]
        from models.images.preprocess import Preprocessing
        from service.decoding.process import Worker
        from service.decoding.starter import Starter
        from tests.models.images.hostile_files import slow_bmp

        listener = socket.create_server(("127.0.0.1", 0))
        os.set_inheritable(listener.fileno(), True)
        starter = Starter()
        workers = [Worker(starter, light=False) for _ in range(3)]
        for worker in workers:
            worker.start()
        busy, data = workers[0], slow_bmp()
        threading.Thread(target=busy.read_pixels, args=(data, Preprocessing(size=(16, 16))), daemon=True).start()
        print(workers[0]._process.launcher, *(worker.pid for worker in workers), flush=True)
        sys.stdin.read(1)
        os._exit(0)
    """
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-P", "-c", textwrap.dedent(script), str(root)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
    ) as server:  # fmt: skip
        pids = [int(pid) for pid in server.stdout.readline().split()]
        assert len(pids) == 4
        assert not any(gone(pid) for pid in pids)
        if how == "kill":
            server.kill()
        else:
            server.stdin.write("x")
            server.stdin.flush()
        server.wait()
        for pid in pids:
            wait_until(lambda: gone(pid))  # noqa: B023
