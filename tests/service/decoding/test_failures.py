"""A worker that dies, stops, sleeps or lies costs the image that it has, and no other."""

import os
import signal
import socket
import struct
from pathlib import Path

import pytest
from PIL import Image

from models.errors import BrokenImageError
from models.images.headers.base import HeavyImage
from models.images.headers.table import read_header
from service.decoding import process as process_module
from service.decoding.base import workers_supported
from service.decoding.process import Worker
from service.decoding.starter import Starter
from service.errors import Draining
from tests.models.images.hostile_files import encoded, noise, slow_bmp
from tests.service.decoding.running import SMALL, gone, slow, wait_until

pytestmark = pytest.mark.skipif(not workers_supported(), reason="this system has no workers")


def test_an_image_on_which_the_worker_dies_is_broken_and_the_next_one_is_not(worker):
    thread, result = slow(worker)
    first = worker.pid
    os.kill(first, signal.SIGKILL)
    thread.join(20)
    assert isinstance(result[0], BrokenImageError)
    assert str(result[0]) == "the decoder stopped on this image"
    assert worker.read_pixels(encoded(noise(8, 8)), SMALL)[1] == (8, 8)
    assert worker.pid != first
    assert worker.restarts == 1


def test_a_worker_that_dies_between_images_costs_no_image(light):
    data = encoded(noise(8, 8))
    for count in range(5):
        light.read_pixels(data, SMALL)
        assert light.restarts == count
        pid = light.pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: gone(pid))  # noqa: B023
    light.read_pixels(data, SMALL)


def test_an_image_that_takes_too_long_is_broken(starter):
    worker = Worker(starter, light=False, decode_seconds=0.2)
    with pytest.raises(BrokenImageError, match=r"could not be decoded within 0\.2 s of CPU time"):
        worker.read_pixels(slow_bmp(), SMALL)
    assert worker.read_pixels(encoded(noise(8, 8)), SMALL)[1] == (8, 8)
    assert worker.restarts == 1
    worker.close()


def test_a_light_worker_gives_up_what_takes_longer_than_its_header_says(starter, monkeypatch):
    monkeypatch.setattr(process_module, "LIGHT_SECONDS", 0.05)
    worker = Worker(starter, light=True)
    with pytest.raises(HeavyImage):
        worker.read_pixels(encoded(noise(2500, 2500), "JPEG", quality=95), SMALL)
    worker.close()


def test_a_worker_that_sleeps_is_ended(starter, monkeypatch):
    monkeypatch.setattr(process_module, "PATIENCE", 0.05)
    worker = Worker(starter, light=False, decode_seconds=10)
    worker.start()
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(BrokenImageError, match="could not be decoded within 10 s of CPU time"):
        worker.read_pixels(encoded(noise(8, 8)), SMALL)
    assert worker.read_pixels(encoded(noise(8, 8)), SMALL)[1] == (8, 8)
    worker.close()


def test_memory_is_limited_and_more_of_it_is_for_the_heavy_worker(starter, monkeypatch):
    monkeypatch.setattr(process_module, "LIGHT_MEMORY", 8_000_000)
    monkeypatch.setattr(process_module, "HEAVY_MEMORY", 8_000_000)
    light, heavy = Worker(starter, light=True), Worker(starter, light=False)
    data = encoded(Image.new("RGB", (2000, 2000)))
    assert not read_header("PNG", data).heavy
    with pytest.raises(HeavyImage):
        light.read_pixels(data, SMALL)
    with pytest.raises(BrokenImageError, match="not enough memory"):
        heavy.read_pixels(data, SMALL)
    assert heavy.read_pixels(encoded(noise(8, 8)), SMALL)[1] == (8, 8)
    light.close()
    heavy.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"garbage",
        b"\0",
        b"\0" * 9,
        b"\0" + b"\xff" * 8,
        b"\1" + b"\xff" * 8,
        b"\1" + b"\0\0\0\0\0\0\xf0\x7f",
        b"\1" + struct.pack("<d", 0.5),  # from a light worker this would be HeavyImage
        b"\xff" * 8000,
    ],
)
def test_garbage_from_a_worker_is_a_broken_image(worker, monkeypatch, reply):
    """The message goes to the worker's own end, as one that was taken over would send it."""
    monkeypatch.setattr(worker, "_send", lambda process, task, data: fake_reply(worker, reply))
    with pytest.raises(BrokenImageError, match="the decoder stopped on this image"):
        worker.read_pixels(encoded(noise(8, 8)), SMALL)
    monkeypatch.undo()
    assert worker.read_pixels(encoded(noise(8, 8)), SMALL)[1] == (8, 8)


def fake_reply(worker, reply):
    """A connection in place of the worker's, which has the reply."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.send(reply)
    theirs.close()
    os.dup2(ours.fileno(), worker._process.connection.fileno())
    ours.close()


def test_pixels_that_are_missing_are_a_broken_image(worker, monkeypatch):
    done = b"\0" + (8).to_bytes(4, "little") * 2
    monkeypatch.setattr(worker, "_send", lambda process, task, data: fake_reply(worker, done))
    with pytest.raises(BrokenImageError, match="stopped"):
        worker.read_pixels(encoded(noise(8, 8)), SMALL)


def test_shared_memory_does_not_keep_what_a_large_image_took(worker):
    worker.read_pixels(encoded(noise(1000, 1000)), SMALL)
    assert os.fstat(worker._process.memory).st_size == 0
    worker.decode_mask(encoded(Image.new("1", (2048, 2048), 1)))
    assert os.fstat(worker._process.memory).st_size == 0


def test_a_worker_has_no_rights_and_nothing_of_the_server(worker):
    with socket.create_server(("127.0.0.1", 0)):
        worker.start()
        limits = Path(f"/proc/{worker.pid}/limits").read_text()
        for line in ("Max core file size", "Max processes"):
            assert next(entry for entry in limits.splitlines() if entry.startswith(line)).split()[-3:-1] == ["0", "0"]
        if os.access(f"/proc/{worker.pid}/fd", os.X_OK):
            files = [str(file.readlink()) for file in Path(f"/proc/{worker.pid}/fd").iterdir()]
            assert sorted(name.split(":")[0] for name in files if name != "/dev/null") == [
                "/memfd", "socket",
            ]  # fmt: skip
        status = Path(f"/proc/{worker.pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status


def test_closing_ends_what_is_being_decoded(starter):
    worker = Worker(starter, light=False)
    thread, result = slow(worker)
    pid = worker.pid
    worker.close()
    thread.join(20)
    assert isinstance(result[0], Draining)
    assert gone(pid)
    with pytest.raises(Draining):
        worker.read_pixels(encoded(noise(8, 8)), SMALL)


def test_closing_the_starter_ends_all_workers():
    starter = Starter()
    worker = Worker(starter, light=False)
    thread, result = slow(worker)
    pid = worker.pid
    starter.close()
    thread.join(20)
    assert isinstance(result[0], Draining)
    wait_until(lambda: gone(pid))
    worker.close()
