from contextlib import contextmanager

import pytest


class Stages:
    """A `Progress` that remembers."""

    def __init__(self):
        self.seen = []

    @contextmanager
    def __call__(self, total, description, unit, initial=0):
        stage = Stage(total, description)
        self.seen.append(stage)
        yield stage

    def done(self, description):
        """What was counted of what total, in the first stage of this name."""
        stage = next(stage for stage in self.seen if stage.description == description)
        return stage.count, stage.total


class Stage:
    def __init__(self, total, description):
        self.total, self.description, self.count, self.notes = total, description, 0, []

    def update(self, n=1):
        self.count += n

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def stages():
    return Stages()
