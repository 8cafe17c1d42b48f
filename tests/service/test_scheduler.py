import asyncio
import threading
import time
from concurrent.futures import CancelledError

import pytest

from service.errors import Internal, NotReady
from service.scheduler import Scheduler, Work
from tests.service.waiters import Waiter


class Worker:
    """A `run` that can be held, and remembers its batches."""

    def __init__(self, seconds=0.0):
        self.gate, self.entered, self.batches, self.seconds = threading.Event(), threading.Event(), [], seconds
        self.gate.set()

    def __call__(self, items, whole):
        assert whole, "there are no lanes"
        self.entered.set()
        self.gate.wait(10)
        self.batches.append(list(items))
        time.sleep(self.seconds)
        if "bad" in items:
            raise ValueError("a bad item")
        return [item * 2 for item in items]


@pytest.fixture(scope="module", autouse=True)
def of_all(loop):
    """The event loop of all waiters."""
    One.loop = loop


class One:
    """A scheduler with one kind of work."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, worker, sizes=(1, 2, 3, 4), seen=None):
        seen = seen if seen is not None else []
        self.work = Work("test", worker, sizes)
        self.scheduler = Scheduler(lambda name, size, seconds: seen.append((name, size)))
        self.waiting, self.close = self.scheduler.waiting, self.scheduler.close

    def submit(self, item, work=None, flow=None):
        return Waiter(self.loop, lambda future: self.scheduler.submit(work or self.work, item, future, flow))


def make(worker, **limits):
    return One(worker, **limits)


def held(worker, one):
    """The one busy with one item, so that what follows has to wait."""
    worker.gate.clear()
    first = one.submit("first")
    assert worker.entered.wait(5)
    return first


def test_what_waits_is_taken_together_and_no_more_than_a_batch():
    worker, sizes = Worker(), []
    one = make(worker, seen=sizes)
    futures = [held(worker, one)] + [one.submit(str(i)) for i in range(6)]
    worker.gate.set()

    assert [f.result(5).result for f in futures] == ["firstfirst"] + [str(i) * 2 for i in range(6)]
    assert [len(batch) for batch in worker.batches] == [1, 4, 2]
    one.close()
    assert sizes == [("test", 1), ("test", 4), ("test", 2)]


def test_a_batch_has_one_of_the_sizes_and_what_is_over_waits_for_the_next():
    worker = Worker()
    one = make(worker, sizes=(1, 2, 4, 8))
    futures = [held(worker, one)] + [one.submit(i) for i in range(15)]
    worker.gate.set()

    assert [future.result(5).result for future in futures[1:]] == [2 * i for i in range(15)]
    assert [len(batch) for batch in worker.batches] == [1, 8, 4, 2, 1]
    assert [item for batch in worker.batches[1:] for item in batch] == list(range(15))
    one.close()


def test_who_has_left_does_not_count_towards_a_size():
    worker = Worker()
    one = make(worker, sizes=(1, 2, 4))
    first, places = held(worker, one), [one.submit(i) for i in range(5)]
    for place in places[:2]:
        place.leave()
    worker.gate.set()
    for place in [first, *places[2:]]:
        place.result(5)
    assert worker.batches[1:] == [[2, 3], [4]]
    one.close()


def test_the_answers_of_a_batch_go_to_their_event_loop_in_one_call(loop, monkeypatch):
    worker, calls = Worker(), []
    one = make(worker)
    places = [held(worker, one)] + [one.submit(i) for i in range(4)]
    call = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *args: calls.append(args) or call(*args))
    worker.gate.set()
    for place in places:
        place.result(5)
    assert len(calls) == len(worker.batches) == 2
    one.close()


def test_a_waiter_whose_event_loop_is_closed_harms_nobody():
    worker = Worker()
    one, closed = make(worker), asyncio.new_event_loop()
    first, orphan = held(worker, one), closed.create_future()
    one.scheduler.submit(one.work, "orphan", orphan)
    closed.close()
    last = one.submit("last")
    worker.gate.set()
    assert (first.result(5).result, last.result(5).result) == ("firstfirst", "lastlast")
    one.close()


def test_a_lonely_item_does_not_wait_for_others():
    one = make(Worker())
    before = time.monotonic()
    assert one.submit("x").result(5).started - before < 0.5
    one.close()


def test_every_waiter_of_a_failed_batch_is_answered_and_the_next_batch_runs(caplog):
    worker = Worker()
    one = make(worker)
    futures = [held(worker, one)] + [one.submit(x) for x in ("a", "bad", "b")]
    worker.gate.set()

    assert futures[0].result(5).result == "firstfirst"
    for future in futures[1:]:
        with pytest.raises(Internal):
            future.result(5)
    assert caplog.text.count("a batch of 3 failed") == 1
    assert "ValueError: a bad item" in caplog.text
    assert one.submit("c").result(5).result == "cc"
    one.close()


def test_who_has_gone_is_not_computed():
    worker = Worker()
    one = make(worker)
    first = held(worker, one)
    gone, here = one.submit("gone"), one.submit("here")
    gone.leave()
    worker.gate.set()

    assert here.result(5).result == "herehere"
    assert first.result(5)
    assert all("gone" not in batch for batch in worker.batches)
    with pytest.raises(CancelledError):
        gone.result(1)
    one.close()


def test_closing_answers_what_is_queued_and_takes_no_more():
    worker = Worker()
    one = make(worker)
    futures = [held(worker, one), one.submit("queued")]
    closing = threading.Thread(target=one.close)
    closing.start()
    worker.gate.set()
    closing.join(5)

    assert [f.result(5).result for f in futures] == ["firstfirst", "queuedqueued"]
    with pytest.raises(NotReady):
        one.submit("late")


def test_kinds_of_work_take_turns_by_who_waited_longest_and_never_run_at_once():
    order, running = [], threading.Semaphore(1)

    def run(name):
        def batch(items, whole):
            assert running.acquire(blocking=False), "two batches at once"
            order.append((name, list(items)))
            time.sleep(0.01)
            running.release()
            return items

        return Work(name, batch, (1, 2))

    worker, a, b = Worker(), run("a"), run("b")
    one = make(worker)
    held(worker, one)
    futures = [one.submit(i, work=work) for i, work in enumerate([b, a, a, b, a])]
    worker.gate.set()
    for future in futures:
        future.result(5)
    one.close()

    assert order == [("b", [0, 3]), ("a", [1, 2]), ("a", [4])]


def test_a_flow_that_brings_much_does_not_keep_the_others_waiting():
    worker = Worker()
    one = make(worker, sizes=(1, 2, 4))
    one.work.seconds_per_item = 1.0
    places = [held(worker, one)] + [one.submit(f"many {i}", flow="many") for i in range(6)]
    places += [one.submit("one", flow="one"), one.submit("another", flow="another")]
    assert one.waiting() == 8
    worker.gate.set()
    for place in places:
        place.result(5)
    assert worker.batches[1] == ["many 0", "one", "another", "many 1"]
    one.close()
