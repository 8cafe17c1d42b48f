import json
import os
import socket
import subprocess
import sys

import pytest

from service.decoding.base import workers_supported
from service.decoding.messages import Rules


@pytest.mark.skipif(not workers_supported(), reason="this system has no workers")
def test_a_server_that_ends_before_it_is_answered_leaves_no_traceback():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    end, other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    memory = os.memfd_create("image")
    socket.send_fds(ours, [json.dumps(Rules(True, 1.0, 10**8, 0)).encode()], [end.fileno(), memory])
    ours.close()
    number = theirs.fileno()
    command = [sys.executable, "-m", "service.decoding.launcher", str(number)]
    done = subprocess.run(command, pass_fds=[number], capture_output=True, timeout=60)
    for each in (theirs, end, other_end):
        each.close()
    os.close(memory)
    assert (done.returncode, done.stderr) == (0, b"")
