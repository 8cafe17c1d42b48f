import asyncio
import threading
import time

import pytest

from service.api.offload import LARGE_BYTES, SMALL_BYTES, collect, offload


@pytest.mark.parametrize(("size", "here"), [(0, True), (SMALL_BYTES, True), (SMALL_BYTES + 1, False)])
def test_few_bytes_are_handled_at_once_and_many_on_a_thread(size, here):
    thread = asyncio.run(offload(size, threading.get_ident))
    assert (thread == threading.get_ident()) == here


def test_what_is_large_waits_for_what_is_large_and_nothing_else_waits_for_it():
    running: list[float] = []

    def large():
        running.append(1)
        assert len(running) == 1
        time.sleep(0.2)
        running.pop()

    async def main():
        first = [asyncio.create_task(offload(LARGE_BYTES, large)) for _ in range(3)]
        await asyncio.sleep(0.05)
        await asyncio.wait_for(offload(SMALL_BYTES + 1, time.sleep, 0), 0.1)
        assert not any(task.done() for task in first)
        await asyncio.gather(*first)

    asyncio.run(main())


def test_the_threads_are_not_those_that_all_share():
    async def main():
        name = await offload(LARGE_BYTES, lambda: threading.current_thread().name)
        assert name.startswith("offload")

    asyncio.run(main())


def test_no_more_pieces_are_made_for_one_who_has_left():
    made = []

    def pieces():
        for i in range(1000):
            made.append(i)
            time.sleep(0.01)
            yield b"x"

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await collect(LARGE_BYTES, pieces())
        await offload(LARGE_BYTES, time.sleep, 0)

    asyncio.run(main())
    assert 0 < len(made) < 500


def test_all_pieces():
    assert asyncio.run(collect(0, iter([b"a", b"b"]))) == [b"a", b"b"]
