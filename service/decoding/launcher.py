"""The process that starts workers, by forking: each is there after some milliseconds and shares its memory until it changes it.

It is started with the sockets of nobody, imports what decoding needs, and never sees a byte of an image. The server tells it to start a
worker, with the two files that the worker gets, or to end one. It ends when the server does, and its workers with it.
"""

import contextlib
import gc
import io
import json
import os
import signal
import socket
import sys

import numpy as np
from PIL import Image

from models.images.decode import FORMATS, configure_pillow, decode
from models.images.preprocess import Preprocessing, to_pixels
from service.decoding.messages import MAX_MESSAGE, NUMBER, Rules
from service.decoding.worker import serve


def main() -> None:
    """Answer the server, on the socket whose number is the argument, until it closes its end."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all processes of a service: the server decides
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=int(sys.argv[1]))
    configure_pillow()
    warm_up()
    gc.collect()
    gc.freeze()
    workers: set[int] = set()
    with contextlib.suppress(ConnectionError):  # the server was killed, or ended before it was answered
        while True:
            message, files, _, _ = socket.recv_fds(control, MAX_MESSAGE, 2)
            if not message:
                break
            control.send(NUMBER.pack(_answer(message, files, control, workers)))
    for worker in workers:
        os.kill(worker, signal.SIGKILL)


def _answer(message: bytes, files: list[int], control: socket.socket, workers: set[int]) -> int:
    """`Rules` with two files start a worker: its number, or -errno. A number ends that worker: its exit code, or -signal."""
    asked = json.loads(message)
    if isinstance(asked, int):
        if asked not in workers:
            return 0
        workers.remove(asked)
        with contextlib.suppress(ProcessLookupError):
            os.kill(asked, signal.SIGKILL)  # until it was waited for, its number is nobody else's
        return os.waitstatus_to_exitcode(os.waitpid(asked, 0)[1])
    launcher = os.getpid()
    try:
        worker = os.fork()
    except OSError as error:
        worker = -(error.errno or 1)
    if worker == 0:
        _become_worker(Rules(*asked), files, control, launcher)
    for file in files:
        os.close(file)
    if worker > 0:
        workers.add(worker)
    return worker


def _become_worker(rules: Rules, files: list[int], control: socket.socket, launcher: int) -> None:
    """Never returns."""
    try:
        control.close()
        serve(socket.socket(fileno=files[0]), files[1], rules, launcher)
        os._exit(0)
    except BaseException:  # noqa: BLE001 -- a worker must not go on as a second launcher
        os._exit(1)


def warm_up() -> None:
    """Decode an image of each format: a library that is imported only then would be imported by each worker."""
    image = Image.fromarray(np.zeros((32, 32, 3), np.uint8))
    for name in FORMATS:
        file = io.BytesIO()
        image.save(file, name)
        to_pixels(decode(file.getvalue()), Preprocessing(size=(16, 16)))


if __name__ == "__main__":
    main()
