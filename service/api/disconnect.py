"""Work that is only worth doing while the client waits for it, and only so long."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import Request

from service.errors import DeadlineExceeded

Result = TypeVar("Result")

WATCH_AFTER_SECONDS = 0.02
"""What is done sooner is not worth a task that watches the connection."""


class ClientDisconnected(Exception):
    """The client closed its connection; nobody will read an answer."""


async def answer_in_time(request: Request, seconds: float, work: Awaitable[Result]) -> Result:
    """The result of `work`, which is cancelled after so many seconds, or when the client leaves; see `cancel_on_disconnect`.

    Raises:
        ClientDisconnected, DeadlineExceeded
    """
    try:
        async with asyncio.timeout(seconds) as deadline:
            return await cancel_on_disconnect(request, work)
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise DeadlineExceeded(f"the response was not ready within {seconds:g} s") from error


async def cancel_on_disconnect(request: Request, work: Awaitable[Result]) -> Result:
    """The result of `work`, which is cancelled when the client leaves: what still waits in a queue is then never computed.

    Call it once the body has been read. The connection is looked at when `WATCH_AFTER_SECONDS` have passed, and from then on.

    Raises:
        ClientDisconnected
    """
    watch = _Watch(request)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.has_cancelled():
            raise ClientDisconnected from None
        raise
    finally:
        watch.stop()


class _Watch:
    """Cancels the task that makes it when the request's client leaves."""

    def __init__(self, request: Request) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._request, self._task = request, task
        self._left = False
        self._watching: asyncio.Task[None] | None = None
        self._timer = task.get_loop().call_later(WATCH_AFTER_SECONDS, self._start)

    def _start(self) -> None:
        self._watching = self._task.get_loop().create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._task.cancel()

    def has_cancelled(self) -> bool:
        """Whether the task's cancellation is this one's and no other's."""
        return self._left and self._task.uncancel() == 0

    def stop(self) -> None:
        """Watch no more."""
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
