import asyncio
import threading
import time
from concurrent.futures import CancelledError, Future
from queue import SimpleQueue

import pytest

from service.errors import DeadlineExceeded, Internal, NotReady, Overloaded
from service.scheduler import Limits, Scheduler, Work


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


class Waiter:
    """A place in the queue, to be asked for its answer from another thread than its event loop's."""

    def __init__(self, loop, submit):
        self.loop, self.answered = loop, Future()
        placed = Future()

        def place():
            self.future = loop.create_future()
            self.future.add_done_callback(self.hear)
            try:
                placed.set_result(submit(self.future))
            except NotReady as error:
                placed.set_exception(error)

        loop.call_soon_threadsafe(place)
        placed.result(5)

    def hear(self, future):
        if future.cancelled():
            self.answered.cancel()
        elif error := future.exception():
            self.answered.set_exception(error)
        else:
            self.answered.set_result(future.result())

    def result(self, seconds):
        return self.answered.result(seconds)

    def leave(self):
        gone = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (self.future.cancel(), gone.set()))
        assert gone.wait(5)


@pytest.fixture(scope="module", autouse=True)
def loop():
    """An event loop on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    One.loop = loop
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


class One:
    """A scheduler with one kind of work."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, worker, sizes=(1, 2, 3, 4), queue_seconds=30.0, deadline_seconds=60.0, seen=None):
        seen = seen if seen is not None else []
        self.work = Work("test", worker, sizes)
        self.scheduler = Scheduler(
            Limits(queue_seconds, deadline_seconds), lambda name, size, seconds: seen.append((name, size))
        )
        self.waiting, self.close = self.scheduler.waiting, self.scheduler.close

    def submit(self, item, since=None, work=None):
        return Waiter(self.loop, lambda future: self.scheduler.submit(work or self.work, item, future, since))


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


def test_who_waited_too_long_is_told():
    worker = Worker()
    one = make(worker, deadline_seconds=0.05)
    held(worker, one)
    late = one.submit("late")
    time.sleep(0.1)
    worker.gate.set()

    with pytest.raises(DeadlineExceeded):
        late.result(5)
    one.close()


def test_too_much_waiting_work_is_refused_with_seconds_to_wait():
    worker = Worker(seconds=0.1)
    one = make(worker, sizes=(1,), queue_seconds=0.25)
    one.submit("learn the speed").result(5)
    held(worker, one)
    with pytest.raises(Overloaded) as caught:  # noqa: PT012 -- which of them is refused depends on the speed learned
        for _ in range(20):
            one.scheduler.check_overload()
            one.submit("more")
    worker.gate.set()

    assert 1 <= int(caught.value.headers()["retry-after"]) <= 120
    assert one.waiting()[0] <= 4
    one.close()


def test_what_is_still_being_decoded_counts_and_so_does_the_time_since_arrival():
    worker = Worker()
    one = make(worker, queue_seconds=1.0, deadline_seconds=5.0)
    one.scheduler.check_overload(1.0)
    with pytest.raises(Overloaded, match="about 2 s of work is waiting, the limit is 1 s"):
        one.scheduler.check_overload(1.5)
    with pytest.raises(DeadlineExceeded):
        one.submit("x", since=time.monotonic() - 6).result(5)
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


def test_the_seconds_of_all_kinds_of_work_count_together():
    worker = Worker()
    one = make(worker, queue_seconds=1.0)
    slow = Work("slow", lambda items, whole: items, (1,), seconds_per_item=0.6)
    held(worker, one)
    futures = [one.submit(0, work=slow), one.submit(1, work=slow)]
    with pytest.raises(Overloaded, match="about 1 s of work"):
        one.scheduler.check_overload()
    assert one.waiting()[0] == 2
    worker.gate.set()
    for future in futures:
        future.result(5)
    one.close()


class Lanes:
    """A `run` whose batches end when they are told to, one after the other; and a scheduler with lanes around it."""

    def __init__(self, lanes, sizes=(1, 2, 3, 4, 8)):
        self.begun, self.ends, self.most, self.running = SimpleQueue(), {}, 0, 0
        self.lock, self.over = threading.Lock(), threading.Event()
        self.work = Work("test", self, sizes)
        self.scheduler = Scheduler(Limits(30.0, 60.0), lanes=lanes)

    def __call__(self, items, whole):
        end = self.ends.setdefault(tuple(items), threading.Event())
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.begun.put((tuple(items), whole))
        while not (end.wait(0.01) or self.over.is_set()):
            pass
        with self.lock:
            self.running -= 1
        return items

    def submit(self, *items):
        return [Waiter(One.loop, lambda future, i=item: self.scheduler.submit(self.work, i, future)) for item in items]

    def next(self):
        return self.begun.get(timeout=5)

    def end(self, *items):
        self.ends.setdefault(items, threading.Event()).set()

    def finish(self):
        self.over.set()
        self.scheduler.close()


def test_one_item_on_an_idle_device_gets_all_of_it():
    lanes = Lanes(2)
    waiters = lanes.submit(0)
    assert lanes.next() == ((0,), True)
    waiters += lanes.submit(1)
    time.sleep(0.05)
    assert lanes.begun.empty(), "something ran beside a batch that has the whole device"
    lanes.end(0)
    assert lanes.next() == ((1,), True)
    lanes.end(1)
    assert [waiter.result(5).result for waiter in waiters] == [0, 1]
    lanes.finish()


def test_what_fills_the_lanes_runs_in_them_and_a_free_lane_waits_for_no_other():
    lanes = Lanes(2)
    waiters = lanes.submit(0)
    assert lanes.next() == ((0,), True)
    waiters += lanes.submit(1, 2, 3)
    lanes.end(0)
    both = sorted([lanes.next(), lanes.next()])
    assert both == [((1, 2), False), ((3,), False)], "the lanes share what waits"
    waiters += lanes.submit(4)
    lanes.end(3)
    assert lanes.next() == ((4,), False), "a lane that is free takes what waits, whatever the other does"
    lanes.end(4)
    lanes.end(1, 2)
    assert [waiter.result(5).result for waiter in waiters] == [0, 1, 2, 3, 4]
    assert lanes.most == 2
    lanes.finish()


def test_a_lane_takes_no_more_than_its_part_of_the_largest_batch():
    lanes = Lanes(2, sizes=(1, 2, 3, 4))
    lanes.submit(0)
    lanes.next()
    lanes.submit(*range(1, 13))
    lanes.end(0)
    assert sorted([lanes.next(), lanes.next()]) == [((1, 2), False), ((3, 4), False)]
    lanes.finish()


def test_fewer_items_than_lanes_on_an_idle_device_are_one_batch():
    lanes = Lanes(4)
    lanes.submit(0)
    lanes.next()
    lanes.submit(1, 2, 3)
    lanes.end(0)
    assert lanes.next() == ((1, 2, 3), True)
    lanes.end(1, 2, 3)
    lanes.finish()


def test_closing_finishes_what_waits_for_busy_lanes():
    lanes = Lanes(2)
    waiters = lanes.submit(0)
    lanes.next()
    waiters += lanes.submit(1, 2, 3)
    closing = threading.Thread(target=lanes.scheduler.close)
    closing.start()
    lanes.over.set()
    closing.join(5)
    assert not closing.is_alive(), "a lane was not woken to stop"
    assert [waiter.result(0).result for waiter in waiters] == [0, 1, 2, 3]


def test_the_seconds_of_an_item_are_of_the_whole_device():
    def slow(items, whole):
        time.sleep(0.05 * len(items))
        return items

    lanes = Lanes(2)
    work = Work("slow", slow, (1, 2))
    waiters = [Waiter(One.loop, lambda future, i=i: lanes.scheduler.submit(work, i, future)) for i in range(20)]
    for waiter in waiters:
        waiter.result(5)
    assert 0.02 < work.seconds_per_item < 0.04, "two lanes at a time: an item costs half of what it takes"
    lanes.finish()


def test_a_batch_that_fails_in_a_lane_frees_it():
    def bad(items, whole):
        if "bad" in items:
            raise ValueError("bad")
        return items

    lanes = Lanes(2)
    work = Work("bad", bad, (1,))
    waiters = [
        Waiter(One.loop, lambda future, i=i: lanes.scheduler.submit(work, i, future)) for i in ["bad", "good"] * 8
    ]
    for waiter in waiters[::2]:
        with pytest.raises(Internal):
            waiter.result(5)
    assert [waiter.result(5).result for waiter in waiters[1::2]] == ["good"] * 8
    lanes.finish()
