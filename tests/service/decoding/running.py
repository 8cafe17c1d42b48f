"""A worker that is busy, and whether a process still runs."""

import threading
import time
from pathlib import Path

from models.images.preprocess import Preprocessing
from tests.models.images.hostile_files import slow_bmp

SMALL = Preprocessing(size=(16, 16))


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def gone(pid):
    """Whether a process ended; it may still be listed until somebody asks how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def slow(worker, data=None):
    """An image that a worker has for some seconds, and the thread that waits for it."""
    data = data or slow_bmp()
    result = []

    def run():
        try:
            result.append(worker.read_pixels(data, SMALL))
        except Exception as error:  # noqa: BLE001
            result.append(error)

    worker.start()
    before = cpu_of(worker.pid)
    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: worker.pid is None or gone(worker.pid) or cpu_of(worker.pid) > before + 2)
    return thread, result


def cpu_of(pid):
    """Hundredths of seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])
