import asyncio
import threading
import time
from queue import SimpleQueue

import pytest

from service.errors import Internal
from service.scheduler import Scheduler, Work
from tests.service.waiters import Waiter


@pytest.fixture(scope="module", autouse=True)
def of_all(loop):
    """The event loop of all waiters."""
    Lanes.loop = loop


class Lanes:
    """A `run` whose batches end when they are told to, one after the other; and a scheduler with lanes around it."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, lanes, sizes=(1, 2, 3, 4, 8)):
        self.begun, self.ends, self.most, self.running = SimpleQueue(), {}, 0, 0
        self.lock, self.over = threading.Lock(), threading.Event()
        self.work = Work("test", self, sizes)
        self.scheduler = Scheduler(lanes=lanes)

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
        return [
            Waiter(Lanes.loop, lambda future, i=item: self.scheduler.submit(self.work, i, future)) for item in items
        ]

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
    assert [waiter.result(5).result for waiter in waiters] == [0, 1, 2, 3]


def test_the_seconds_of_an_item_are_of_the_whole_device():
    def slow(items, whole):
        time.sleep(0.05 * len(items))
        return items

    lanes = Lanes(2)
    work = Work("slow", slow, (1, 2))
    waiters = [Waiter(Lanes.loop, lambda future, i=i: lanes.scheduler.submit(work, i, future)) for i in range(20)]
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
        Waiter(Lanes.loop, lambda future, i=i: lanes.scheduler.submit(work, i, future)) for i in ["bad", "good"] * 8
    ]
    for waiter in waiters[::2]:
        with pytest.raises(Internal):
            waiter.result(5)
    assert [waiter.result(5).result for waiter in waiters[1::2]] == ["good"] * 8
    lanes.finish()
