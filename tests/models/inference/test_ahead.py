"""Reading ahead of what computes: order, what is in memory, and how it ends."""

import os
import sys
import threading
from contextlib import closing

import pytest

from models.inference import ahead
from models.inference.ahead import read_ahead


def reading_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ijepa-read")]


def test_results_are_in_order_and_a_bounded_number_is_in_memory():
    pulled = []

    def items():
        for i in range(100):
            pulled.append(i)
            yield i

    for i, result in enumerate(read_ahead(items(), lambda item: 2 * item, ahead=6)):
        assert result == 2 * i
        assert len(pulled) <= i + 1 + 6
    assert len(pulled) == 100
    assert not reading_threads()


def test_a_result_is_given_while_the_others_are_still_read():
    pulled, go_on = [], threading.Event()
    with closing(
        read_ahead(iter(lambda: pulled.append(0) or len(pulled), 0), lambda i: i == 1 or go_on.wait(30), 40)
    ) as results:
        assert next(results) is True
        assert len(pulled) == 41
        go_on.set()


def test_an_error_is_raised_in_its_place_and_ends_it():
    results = read_ahead(range(50), lambda i: 1 / (i - 5), ahead=20)
    assert [next(results) for _ in range(5)] == [1 / (i - 5) for i in range(5)]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not reading_threads()


def test_closing_reads_no_more():
    read, go_on = [], threading.Event()
    results = read_ahead(range(1000), lambda i: read.append(i) or (i == 0 or go_on.wait(30)), ahead=900)
    next(results)
    go_on.set()
    results.close()
    assert len(read) < 900
    assert not reading_threads()


def test_items_that_hold_much_wait_in_small_numbers(monkeypatch):
    monkeypatch.setattr(ahead, "MAX_WAITING_BYTES", 100)
    lock, unread, most = threading.Lock(), 0, 0

    def items():
        nonlocal unread, most
        for i in range(60):
            with lock:
                unread += 1
                most = max(most, unread)
            yield i

    def read(i):
        nonlocal unread
        with lock:
            unread -= 1
        return i

    assert list(read_ahead(items(), read, ahead=50, size=lambda _: 40)) == list(range(60))
    assert most <= 3
    assert list(read_ahead(range(5), read, ahead=50, size=lambda _: 1000)) == list(range(5))


@pytest.mark.skipif(sys.platform != "linux", reason="skipped: threads have priorities on Linux only")
def test_reading_leaves_the_cores_to_what_computes():
    own = os.getpriority(os.PRIO_PROCESS, 0)
    (of_reader,) = read_ahead([0], lambda _: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), ahead=1)
    assert of_reader == min(19, own + ahead.NICENESS)
    assert os.getpriority(os.PRIO_PROCESS, 0) == own
