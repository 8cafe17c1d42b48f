import logging
import os
import time

import pytest

from service.logs import MAX_REPEATS, LogWriter


@pytest.fixture
def pipe():
    """What the log is written to, and what reads it."""
    read, write = os.pipe()
    yield read, write
    for descriptor in (read, write):
        os.close(descriptor)


def logger_of(writer):
    logger = logging.Logger("test")
    logger.addHandler(writer)
    return logger


def test_lines_are_written_in_their_order(pipe):
    read, write = pipe
    writer = LogWriter(write)
    log = logger_of(writer)
    for i in range(100):
        log.info("line %d", i)
    writer.flush()
    assert os.read(read, 10_000).decode().splitlines() == [f"line {i}" for i in range(100)]


def test_what_nobody_reads_is_counted_and_nobody_waits(pipe):
    read, write = pipe
    writer = LogWriter(write, max_bytes=100_000)
    log = logger_of(writer)
    for i in range(10_000):
        log.info("line %04d %s", i, "x" * 90)  # a pipe holds 64 kB
    start = time.monotonic()
    writer.flush()
    assert time.monotonic() - start < 5

    received, accounted = b"", 0
    until = time.monotonic() + 10
    while accounted < 10_000:
        assert time.monotonic() < until, received[-1000:]
        received += os.read(read, 65536)
        lines = received.decode().splitlines()
        lost = [int(line.split()[0]) for line in lines if line.endswith("they came faster than they were read")]
        accounted = sum(lost) + sum(line.endswith("x" * 90) for line in lines)
    assert accounted == 10_000
    assert lines[0].startswith("line 0000")
    assert 1 <= len(lost) <= 3


def test_what_repeats_is_written_a_few_times_and_counted(pipe, monkeypatch):
    read, write = pipe
    writer = LogWriter(write)
    log = logger_of(writer)
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def warn():
        log.warning("the same again")

    for _ in range(1000):
        warn()
        log.info("a request")
    log.warning("another")
    now[0] += 61
    warn()
    monkeypatch.undo()
    writer.flush()
    lines = os.read(read, 1_000_000).decode().splitlines()
    assert lines.count("the same again") == MAX_REPEATS + 1
    assert lines.count("a request") == 1000
    assert lines[-3:] == ["another", "the same again", f"{1000 - MAX_REPEATS} more like this were not written"]


def test_errors_are_of_a_kind_by_where_they_were_raised(pipe):
    read, write = pipe
    writer = LogWriter(write)
    log = logger_of(writer)

    def fail(kind):
        try:
            if kind == "a":
                raise ValueError("first")
            raise ValueError("second")
        except ValueError:
            log.exception("failed")

    for _ in range(MAX_REPEATS + 5):
        fail("a")
    fail("b")
    writer.flush()
    text = os.read(read, 1_000_000).decode()
    assert text.count("ValueError: first") == MAX_REPEATS
    assert text.count("ValueError: second") == 1


def test_a_reader_that_left_is_no_reason_to_stop():
    read, write = os.pipe()
    os.close(read)
    writer = LogWriter(write)
    logger_of(writer).info("to nobody")
    writer.flush()
    os.close(write)


def test_a_line_that_cannot_be_formatted_is_told_of(pipe):
    read, write = pipe
    writer = LogWriter(write)
    log = logger_of(writer)
    log.info("%d images", "no number")
    log.info("the next line")
    writer.flush()
    lines = os.read(read, 10_000).decode().splitlines()
    assert lines == ["INFO a line of test could not be written: TypeError", "the next line"]
