"""What the routes need of the app: its settings, its engines, its metrics."""

from typing import Annotated, cast

from fastapi import Depends, Request

from service.engine import Engine
from service.errors import Draining, ModelNotFound, NotReady, UnsupportedOption
from service.settings import Settings
from service.telemetry import Telemetry


class State:
    """One app's parts. `problem` says why it is not ready, and is None once it is."""

    def __init__(self, settings: Settings, engines: dict[str, Engine], telemetry: Telemetry) -> None:
        self.settings, self.engines, self.telemetry = settings, engines, telemetry
        self.problem: NotReady | None = NotReady("the model is being loaded and checked")

    def engine(self, name: str | None) -> Engine:
        """The engine of a model; without a name, the only one.

        Raises:
            NotReady, ModelNotFound, UnsupportedOption
        """
        self.refuse_unready()
        if name is None:
            if len(self.engines) > 1:
                raise UnsupportedOption(f"several models are loaded, say which: {', '.join(self.engines)}", "model")
            return next(iter(self.engines.values()))
        return self.known(name)

    def open(self) -> None:
        """Everything came out right: work is taken, unless the server is stopping already."""
        if not isinstance(self.problem, Draining):
            self.problem = None
            self.telemetry.ready.set(1)

    def drain(self) -> None:
        """No new work; what was taken is finished."""
        self.problem = Draining("the server is stopping")
        self.telemetry.ready.set(0)

    def refuse_unready(self) -> None:
        """Raise the problem, if there is one, before a body is read for nothing."""
        if self.problem:
            raise self.problem

    def known(self, name: str) -> Engine:
        """The engine of a model that is loaded, ready or not.

        Raises:
            ModelNotFound
        """
        if name not in self.engines:
            raise ModelNotFound(f"model {name!r} is not loaded; loaded is {', '.join(self.engines)}", "model")
        return self.engines[name]


def _state(request: Request) -> State:
    return cast(State, request.app.state.service)


StateDep = Annotated[State, Depends(_state)]
