import asyncio
import threading
import time

import pytest

from models.errors import BrokenImageError
from models.images.headers.base import HeavyImage
from service.admission import Admission
from service.decoding.base import ThreadReader
from service.errors import InvalidImage, NotReady, Overloaded
from service.operations.decoders import SMALL_BYTES, Decoders
from service.scheduler import Scheduler, Work

ADMISSION = Admission(10**9, 10.0)
CLAIM = ADMISSION.claim("client")
DOUBLE = Work("double", lambda items, whole: [2 * item for item in items], (1, 2))


@pytest.fixture
def scheduler():
    scheduler = Scheduler()
    yield scheduler
    scheduler.close()


def decode(scheduler, prepare, *args, param=None):
    """What comes of one image."""

    async def main():
        return await asyncio.wait_for(decoders.submit(scheduler, DOUBLE, CLAIM, 100, param, prepare, *args), 10)

    decoders = Decoders([ThreadReader()], [ThreadReader()])
    try:
        return asyncio.run(main())
    finally:
        decoders.close()


def test_what_is_decoded_goes_to_the_scheduler_from_the_decoding_thread(scheduler):
    threads = []

    def prepare(_, value):
        threads.append(threading.current_thread().name)
        return value + 1

    done = decode(scheduler, prepare, 20)
    assert (done.item, done.result, threads) == (21, 42, ["decode_0"])
    assert done.since <= done.queued <= done.started
    assert done.seconds >= 0


def test_an_error_of_models_becomes_one_of_the_request_at_its_image(scheduler):
    def prepare(_):
        raise BrokenImageError("cut short")

    with pytest.raises(InvalidImage, match="cut short") as caught:
        decode(scheduler, prepare, param="input[3]")
    assert caught.value.param == "input[3]"


def test_any_other_error_is_heard_of_and_the_thread_goes_on(scheduler):
    async def main():
        with pytest.raises(ZeroDivisionError):
            await decoders.submit(scheduler, DOUBLE, CLAIM, 100, None, lambda _: 1 // 0)
        return await decoders.submit(scheduler, DOUBLE, CLAIM, 100, None, lambda _: 3)

    decoders = Decoders([ThreadReader()], [ThreadReader()])
    assert asyncio.run(main()).result == 6
    decoders.close()


def test_a_closed_scheduler_is_an_answer():
    scheduler = Scheduler()
    scheduler.close()
    with pytest.raises(NotReady):
        decode(scheduler, lambda _: 1)


def test_what_waits_is_counted_and_not_decoded_once_nobody_waits_for_it(scheduler):
    gate, decoded = threading.Event(), []

    def prepare(_, name):
        decoded.append(name)
        assert gate.wait(10)
        return 1

    async def main():
        first = decoders.submit(scheduler, DOUBLE, CLAIM, 100, None, prepare, "first")
        while not decoded:
            await asyncio.sleep(0.001)
        gone, last = (decoders.submit(scheduler, DOUBLE, CLAIM, 100, None, prepare, name) for name in ("gone", "last"))
        assert decoders.waiting() == (2, 0)
        gone.cancel()
        gate.set()
        await asyncio.gather(first, last)

    decoders = Decoders([ThreadReader()], [ThreadReader()])
    asyncio.run(main())
    decoders.close()
    assert decoded == ["first", "last"]


class Light(ThreadReader):
    """Finds all images costly."""

    seconds = 2.0


def heavy_for(reader):
    if isinstance(reader, Light):
        raise HeavyImage(reader.seconds)
    return 4


def test_an_image_that_a_light_reader_finds_costly_goes_to_a_heavy_one(scheduler):
    async def main():
        return await decoders.submit(scheduler, DOUBLE, CLAIM, 100, None, heavy_for)

    decoders = Decoders([Light()], [ThreadReader()])
    assert asyncio.run(main()).result == 8
    decoders.close()
    assert ADMISSION.heavy.total == 0.0


def test_a_costly_image_that_would_wait_too_long_is_refused(scheduler):
    busy = [ADMISSION.claim(i) for i in range(4)]
    for claim in busy:
        claim.admit_heavy(2.0)

    async def main():
        with pytest.raises(Overloaded, match=r"about 8\.0 s of work"):
            await decoders.submit(scheduler, DOUBLE, CLAIM, 100, None, heavy_for)

    decoders = Decoders([Light()], [ThreadReader()])
    asyncio.run(main())
    decoders.close()
    for claim in busy:
        claim.release()


def test_while_costly_images_are_decoded_others_pass(scheduler):
    gate = threading.Event()

    def slow(reader):
        value = heavy_for(reader)
        assert gate.wait(10)
        return value

    async def main():
        costly = [decoders.submit(scheduler, DOUBLE, CLAIM, 100, None, slow) for _ in range(3)]
        ordinary = await decoders.submit(scheduler, DOUBLE, CLAIM, 100, None, lambda _: 1)
        assert not any(future.done() for future in costly)
        gate.set()
        await asyncio.gather(*costly)
        return ordinary

    decoders = Decoders([Light()], [ThreadReader()])
    assert asyncio.run(main()).result == 2
    decoders.close()


def test_the_seconds_of_an_image_are_learned_by_its_bytes(scheduler):
    async def main():
        await decoders.submit(scheduler, DOUBLE, CLAIM, 10**5, None, lambda _: time.sleep(0.01) or 1)

    decoders = Decoders([ThreadReader()], [ThreadReader()])
    usual = decoders.seconds(10**5)
    asyncio.run(main())
    assert 1.1 * usual < decoders.seconds(10**5) < 1.5 * usual
    assert 9 < decoders.seconds(10**6) / decoders.seconds(10**5) < 10
    decoders.close()


def test_small_images_pass_large_ones_of_which_many_wait(scheduler):
    gate = threading.Event()

    def slow(_):
        assert gate.wait(10)
        return 1

    async def main():
        large = [decoders.submit(scheduler, DOUBLE, CLAIM, SMALL_BYTES + 1, None, slow) for _ in range(4)]
        small = await asyncio.wait_for(decoders.submit(scheduler, DOUBLE, CLAIM, SMALL_BYTES, None, lambda _: 2), 5)
        assert not any(future.done() for future in large)
        gate.set()
        await asyncio.gather(*large)
        return small

    decoders = Decoders([ThreadReader(), ThreadReader()], [ThreadReader()])
    assert asyncio.run(main()).result == 4
    decoders.close()


def test_readers_for_all_images_take_small_ones_too(scheduler):
    both = threading.Barrier(2, timeout=10)

    async def main():
        return await asyncio.gather(
            *(
                decoders.submit(scheduler, DOUBLE, CLAIM, 100, None, lambda _: (both.wait() and 1) or 1)
                for _ in range(2)
            )
        )

    decoders = Decoders([ThreadReader(), ThreadReader()], [ThreadReader()])
    assert [done.result for done in asyncio.run(main())] == [2, 2]
    decoders.close()
