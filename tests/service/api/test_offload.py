import asyncio
import threading

import pytest

from service.api.offload import SMALL_BYTES, offload


@pytest.mark.parametrize(("size", "here"), [(0, True), (SMALL_BYTES, True), (SMALL_BYTES + 1, False)])
def test_few_bytes_are_handled_at_once_and_many_on_a_thread(size, here):
    thread = asyncio.run(offload(size, threading.get_ident))
    assert (thread == threading.get_ident()) == here
