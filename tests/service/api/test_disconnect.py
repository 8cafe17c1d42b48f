import asyncio

import pytest
from fastapi import Request

from service.api import disconnect
from service.api.disconnect import ClientDisconnected, answer_in_time, cancel_on_disconnect
from service.errors import DeadlineExceeded


@pytest.fixture(autouse=True)
def _watch_at_once(monkeypatch):
    monkeypatch.setattr(disconnect, "WATCH_AFTER_SECONDS", 0.0)


def run(work, messages):
    """`work(left)` with a client that sends `messages` and then stays; `left` is set once all of them were read."""

    async def main():
        todo, left = list(messages), asyncio.Event()

        async def receive():
            if not todo:
                left.set()
                await asyncio.Event().wait()
            return {"type": todo.pop(0)}

        return await asyncio.wait_for(cancel_on_disconnect(Request({"type": "http"}, receive), work(left)), 10)

    return asyncio.run(main())


def test_the_result_of_work_while_the_client_waits():
    async def work(left):
        await left.wait()
        return 1

    assert run(work, ["http.request"]) == 1


def test_work_is_cancelled_when_the_client_leaves():
    ended = []

    async def work(left):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(ClientDisconnected):
        run(work, ["http.request", "http.disconnect"])
    assert ended == [True]


def test_an_error_of_the_work_is_raised_and_nothing_watches_any_longer():
    async def work(left):
        await left.wait()
        raise ValueError("broken")

    async def others():
        with pytest.raises(ValueError, match="broken"):
            await cancel_on_disconnect(Request({"type": "http"}, never), work(started))
        await asyncio.sleep(0)
        return asyncio.all_tasks() - {asyncio.current_task()}

    async def never():
        started.set()
        await asyncio.Event().wait()

    started = asyncio.Event()
    assert asyncio.run(others()) == set()


def test_a_cancellation_from_elsewhere_is_not_the_clients():
    async def work(left):
        await left.wait()
        asyncio.current_task().cancel()
        await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        run(work, ["http.request"])


def test_work_that_is_done_soon_is_never_watched(monkeypatch):
    monkeypatch.setattr(disconnect, "WATCH_AFTER_SECONDS", 60.0)
    asked = []

    async def receive():
        asked.append(True)
        return {"type": "http.disconnect"}

    async def work():
        await asyncio.sleep(0.01)
        return 1

    assert asyncio.run(cancel_on_disconnect(Request({"type": "http"}, receive), work())) == 1
    assert asked == []


def test_work_is_cancelled_at_the_deadline():
    ended = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def receive():
        await asyncio.Event().wait()

    with pytest.raises(DeadlineExceeded, match=r"within 0\.05 s"):
        asyncio.run(answer_in_time(Request({"type": "http"}, receive), 0.05, work()))
    assert ended == [True]


def test_a_timeout_of_the_work_is_not_the_deadline():
    async def work():
        raise TimeoutError

    with pytest.raises(TimeoutError):
        asyncio.run(answer_in_time(Request({"type": "http"}), 60.0, work()))
