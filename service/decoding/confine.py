"""What a process gives up before it parses what a client sent. Linux only."""

import contextlib
import ctypes
import os
import resource
import signal
from pathlib import Path

from service.decoding.messages import MAX_OUTPUT, Rules

MAX_FILES = 16
"""Open files of a worker, which needs its socket and its memory."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38


def confine(rules: Rules, parent: int) -> None:
    """For the rest of this process: it ends with `parent`, and can neither take more memory than `rules` say, nor write large files,
    nor start processes, nor leave a core file.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before this was asked for
        os._exit(0)
    prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.nice(rules.nice)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    with contextlib.suppress(OSError):  # where memory runs out, the system ends this process and not the server
        Path("/proc/self/oom_score_adj").write_text("1000")
    _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + rules.memory)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, MAX_OUTPUT)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_NOFILE, MAX_FILES)
    _silence()
    prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _limit(what: int, value: int) -> None:
    """At most `value`, and never more than was allowed before."""
    hard = resource.getrlimit(what)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(what, (value, value))


def _silence() -> None:
    """Libraries write about broken files to the standard streams."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
