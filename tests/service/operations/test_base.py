import asyncio
import threading

import pytest

from models.errors import BrokenImageError
from service.errors import DeadlineExceeded, InvalidImage, NotReady
from service.operations.base import Decoders
from service.scheduler import Limits, Scheduler, Work

DOUBLE = Work("double", lambda items, whole: [2 * item for item in items], (1, 2))


@pytest.fixture
def scheduler():
    scheduler = Scheduler(Limits(30.0, 60.0))
    yield scheduler
    scheduler.close()


def decode(scheduler, prepare, *args, seconds=60.0, param=None):
    """What comes of one image."""

    async def main():
        return await asyncio.wait_for(decoders.submit(scheduler, DOUBLE, param, prepare, *args), 10)

    decoders = Decoders(seconds, threads=1)
    try:
        return asyncio.run(main())
    finally:
        decoders.close()


def test_what_is_decoded_goes_to_the_scheduler_from_the_decoding_thread(scheduler):
    threads = []

    def prepare(value):
        threads.append(threading.current_thread().name)
        return value + 1

    done = decode(scheduler, prepare, 20)
    assert (done.item, done.result, threads) == (21, 42, ["decode_0"])
    assert done.since <= done.queued <= done.started
    assert done.seconds >= 0


def test_an_error_of_models_becomes_one_of_the_request_at_its_image(scheduler):
    def prepare():
        raise BrokenImageError("cut short")

    with pytest.raises(InvalidImage, match="cut short") as caught:
        decode(scheduler, prepare, param="input[3]")
    assert caught.value.param == "input[3]"


def test_any_other_error_is_heard_of_and_the_thread_goes_on(scheduler):
    async def main():
        with pytest.raises(ZeroDivisionError):
            await decoders.submit(scheduler, DOUBLE, None, lambda: 1 // 0)
        return await decoders.submit(scheduler, DOUBLE, None, lambda: 3)

    decoders = Decoders(60.0, threads=1)
    assert asyncio.run(main()).result == 6
    decoders.close()


def test_a_turn_that_comes_too_late(scheduler):
    with pytest.raises(DeadlineExceeded, match="to be decoded"):
        decode(scheduler, lambda: 1, seconds=-1.0)


def test_a_closed_scheduler_is_an_answer():
    scheduler = Scheduler(Limits(30.0, 60.0))
    scheduler.close()
    with pytest.raises(NotReady):
        decode(scheduler, lambda: 1)


def test_what_waits_is_counted_and_not_decoded_once_nobody_waits_for_it(scheduler):
    gate, decoded = threading.Event(), []

    def prepare(name):
        decoded.append(name)
        assert gate.wait(10)
        return 1

    async def main():
        first = decoders.submit(scheduler, DOUBLE, None, prepare, "first")
        while not decoded:
            await asyncio.sleep(0.001)
        gone, last = (decoders.submit(scheduler, DOUBLE, None, prepare, name) for name in ("gone", "last"))
        assert decoders.waiting == 2
        gone.cancel()
        gate.set()
        await asyncio.gather(first, last)

    decoders = Decoders(60.0, threads=1)
    asyncio.run(main())
    decoders.close()
    assert decoded == ["first", "last"]
