import threading
import time
from concurrent.futures import CancelledError

import pytest

from service.batching import Batcher, Limits
from service.errors import DeadlineExceeded, Internal, NotReady, Overloaded


class Worker:
    """A `run` that can be held, and remembers its batches."""

    def __init__(self, seconds=0.0):
        self.gate, self.entered, self.batches, self.seconds = threading.Event(), threading.Event(), [], seconds
        self.gate.set()

    def __call__(self, items):
        self.entered.set()
        self.gate.wait(10)
        self.batches.append(list(items))
        time.sleep(self.seconds)
        if "bad" in items:
            raise ValueError("a bad item")
        return [item * 2 for item in items]


def make(worker, batch=4, queue_seconds=30.0, deadline_seconds=60.0, seen=None):
    seen = seen if seen is not None else []
    limits = Limits(batch, queue_seconds, deadline_seconds)
    return Batcher("test", worker, limits, threading.Lock(), lambda size, seconds: seen.append(size))


def held(worker, batcher):
    """The batcher busy with one item, so that what follows has to wait."""
    worker.gate.clear()
    first = batcher.submit("first")
    assert worker.entered.wait(5)
    return first


def test_what_waits_is_taken_together_and_no_more_than_a_batch():
    worker, sizes = Worker(), []
    batcher = make(worker, seen=sizes)
    futures = [held(worker, batcher)] + [batcher.submit(str(i)) for i in range(6)]
    worker.gate.set()

    assert [f.result(5).result for f in futures] == ["firstfirst"] + [str(i) * 2 for i in range(6)]
    assert [len(batch) for batch in worker.batches] == [1, 4, 2]
    batcher.close()
    assert sizes == [1, 4, 2]


def test_a_lonely_item_does_not_wait_for_others():
    batcher = make(Worker())
    before = time.monotonic()
    assert batcher.submit("x").result(5).started - before < 0.5
    batcher.close()


def test_every_waiter_of_a_failed_batch_is_answered_and_the_next_batch_runs(caplog):
    worker = Worker()
    batcher = make(worker)
    futures = [held(worker, batcher)] + [batcher.submit(x) for x in ("a", "bad", "b")]
    worker.gate.set()

    assert futures[0].result(5).result == "firstfirst"
    for future in futures[1:]:
        with pytest.raises(Internal):
            future.result(5)
    assert caplog.text.count("a batch of 3 failed") == 1
    assert "ValueError: a bad item" in caplog.text
    assert batcher.submit("c").result(5).result == "cc"
    batcher.close()


def test_who_has_gone_is_not_computed():
    worker = Worker()
    batcher = make(worker)
    first = held(worker, batcher)
    gone, here = batcher.submit("gone"), batcher.submit("here")
    assert gone.cancel()
    worker.gate.set()

    assert here.result(5).result == "herehere"
    assert first.result(5)
    assert all("gone" not in batch for batch in worker.batches)
    with pytest.raises(CancelledError):
        gone.result(1)
    batcher.close()


def test_who_waited_too_long_is_told():
    worker = Worker()
    batcher = make(worker, deadline_seconds=0.05)
    held(worker, batcher)
    late = batcher.submit("late")
    time.sleep(0.1)
    worker.gate.set()

    with pytest.raises(DeadlineExceeded):
        late.result(5)
    batcher.close()


def test_too_much_waiting_work_is_refused_with_seconds_to_wait():
    worker = Worker(seconds=0.1)
    batcher = make(worker, batch=1, queue_seconds=0.25)
    batcher.submit("learn the speed").result(5)
    held(worker, batcher)
    with pytest.raises(Overloaded) as caught:  # noqa: PT012 -- which of them is refused depends on the speed learned
        for _ in range(20):
            batcher.submit("more")
    worker.gate.set()

    assert 1 <= int(caught.value.headers()["retry-after"]) <= 120
    assert batcher.waiting()[0] <= 4
    batcher.close()


def test_what_is_still_being_decoded_counts_and_so_does_the_time_since_arrival():
    worker = Worker()
    batcher = make(worker, queue_seconds=1.0, deadline_seconds=5.0)
    batcher.expect(0.5)
    batcher.refuse_overload(2)
    with pytest.raises(Overloaded, match="about 2 s of work is waiting, the limit is 1 s"):
        batcher.refuse_overload(3)
    with pytest.raises(DeadlineExceeded):
        batcher.submit("x", since=time.monotonic() - 6).result(5)
    batcher.close()


def test_closing_answers_what_is_queued_and_takes_no_more():
    worker = Worker()
    batcher = make(worker)
    futures = [held(worker, batcher), batcher.submit("queued")]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    worker.gate.set()
    closing.join(5)

    assert [f.result(5).result for f in futures] == ["firstfirst", "queuedqueued"]
    with pytest.raises(NotReady):
        batcher.submit("late")


def test_two_queues_of_one_device_never_run_at_once():
    running, most, lock = [0], [0], threading.Lock()

    def run(items):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.01)
        with lock:
            running[0] -= 1
        return items

    device = threading.Lock()
    pair = [Batcher("t", run, Limits(1, 30, 60), device, lambda *_: None) for _ in range(2)]
    for future in [batcher.submit(i) for i in range(8) for batcher in pair]:
        future.result(5)
    for batcher in pair:
        batcher.close()
    assert most[0] == 1
