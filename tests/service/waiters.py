"""Places in a scheduler's queue, asked for their answers from another thread than their event loop's."""

import threading
from concurrent.futures import Future

from service.errors import NotReady


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
