"""Which models are loaded and in what state. A model is a bundle, a runtime and the operations over them."""

import logging
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TypeVar, cast

import numpy as np
from jaxtyping import UInt8

from models.bundle.manifest import Manifest
from models.bundle.reader import Bundle, find_bundle, read_bundle, zoo
from models.errors import ConfigError, IJEPAError
from models.inference.canonical import check_canonical
from models.progress import Progress, no_progress
from models.runtimes.batches import ladder
from models.runtimes.choices import Choice
from models.runtimes.select import choose, open_choice
from service.admission import Admission
from service.errors import Draining, ModelNotFound, NotReady, UnsupportedOption
from service.operations.base import Context, Operation
from service.operations.decoders import Decoders, open_decoders
from service.operations.table import OPERATIONS
from service.scheduler import Scheduler
from service.settings import Settings
from service.telemetry import Held, Telemetry

log = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=Operation)

WARM_SECONDS = 2.0
"""For how long batch sizes are run before a model is ready; those that are left are prepared when they first come."""


class State(StrEnum):
    """Of a model. Only a `ready` one takes work."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class LoadedModel:
    """One bundle, what computes it, and its operations. It is ready once the canonical image came out right."""

    def __init__(self, choice: Choice, context: Context) -> None:
        self.choice, self.bundle, self.runtime = choice, context.bundle, context.runtime
        self.state, self.problem = State.LOADING, "the model is being loaded and checked"
        self.images_per_second = 0.0
        self._max_batch = context.max_batch
        self._operations = {name: operation(context) for name, operation in OPERATIONS.items()}

    @property
    def manifest(self) -> Manifest:
        """The bundle's."""
        return self.bundle.manifest

    @property
    def operations(self) -> list[str]:
        """The names of those that the bundle can do."""
        return [name for name, each in self._operations.items() if self.manifest.predicts or not each.needs_predictor]

    def operation(self, kind: type[Kind]) -> Kind:
        """One of the model's operations."""
        return cast(Kind, self._operations[kind.name])

    def check(self) -> None:
        """Compute the canonical image, then one batch of each size; the state says how it went. Blocks for seconds."""
        try:
            check_canonical(self.runtime, self.bundle)
            self._warm()
        except IJEPAError as error:
            log.error("%s is not ready: %s", self.manifest.id, error)
            self.state, self.problem = State.FAILED, str(error)
        except Exception:  # it runs in the background: nobody else would hear of it
            log.exception("%s is not ready", self.manifest.id)
            self.state, self.problem = State.FAILED, "the check of the model failed; the server's log says why"
        else:
            if self.state is State.LOADING:  # a server that was told to stop meanwhile stays so
                self.state = State.READY

    def _warm(self) -> None:
        """Run every batch size, so that no request waits for a shape to be prepared; the last one gives the speed.

        A batch of which each lane gets its part prepares what the lanes need.
        """
        pixels, until = self.bundle.canonical()["pixels"][None], time.perf_counter() + WARM_SECONDS
        in_lanes = ladder(max(1, self._max_batch // self.runtime.lanes))
        for size in sorted({*ladder(self._max_batch), *(size * self.runtime.lanes for size in in_lanes)}):
            batch = np.repeat(pixels, size, axis=0)
            self._seconds(batch)
            seconds = self._seconds(batch) / size
            if time.perf_counter() > until:
                break
        self.images_per_second = 1 / seconds
        for operation in self._operations.values():
            operation.work.seconds_per_item = operation.cost * seconds

    def _seconds(self, batch: UInt8[np.ndarray, "B H W C"]) -> float:
        start = time.perf_counter()
        self.runtime.encode(batch, [self.manifest.default_pooling])
        return time.perf_counter() - start


class Registry:
    """All models of a server, by their bundles' ids, over one scheduler and one set of decoders."""

    def __init__(
        self, models: Sequence[LoadedModel], scheduler: Scheduler, decoders: Decoders, admission: Admission
    ) -> None:
        self.models = {model.manifest.id: model for model in models}
        self.admission = admission
        self.on_failure: Callable[[str], None] = lambda _: None
        self._scheduler, self._decoders = scheduler, decoders
        self._draining = False

    @property
    def ready(self) -> bool:
        """Whether every model is, and the server is not stopping."""
        return not self._draining and all(model.state is State.READY for model in self.models.values())

    @property
    def draining(self) -> bool:
        """Whether the server is stopping."""
        return self._draining

    def check(self) -> None:
        """Check every model, one after the other, and tell `on_failure` of the first that failed. Blocks."""
        for model in self.models.values():
            model.check()
            if model.state is State.FAILED:
                self.on_failure(f"{model.manifest.id} is not served: {model.problem}")
                return

    def check_ready(self) -> None:
        """Before a body is read for nothing.

        Raises:
            Draining, NotReady: the server is stopping; a model is loading or has failed.
        """
        if self._draining:
            raise Draining("the server is stopping")
        for model in self.models.values():
            if model.state is not State.READY:
                raise NotReady(model.problem)

    def select(self, name: str | None) -> LoadedModel:
        """The model of a request; without a name, the only one. A request that was accepted is finished, so readiness is not asked.

        Raises:
            ModelNotFound, UnsupportedOption
        """
        if name is None:
            if len(self.models) > 1:
                raise UnsupportedOption(f"several models are loaded, say which: {', '.join(self.models)}", "model")
            return next(iter(self.models.values()))
        return self.known(name)

    def known(self, name: str) -> LoadedModel:
        """A model that is loaded, ready or not.

        Raises:
            ModelNotFound
        """
        if name not in self.models:
            raise ModelNotFound(f"model {name!r} is not loaded; loaded is {', '.join(self.models)}", "model")
        return self.models[name]

    def drain(self) -> None:
        """Take no new work; what was taken is finished."""
        self._draining = True
        for model in self.models.values():
            model.state = State.DRAINING

    def close(self) -> None:
        """Finish what waits, then stop the threads."""
        self._decoders.close()
        self._scheduler.close()

    def held(self) -> Held:
        """What waits and what it holds, for metrics."""
        waiting, heavy = self._decoders.waiting()
        return Held(
            queue_items=self._scheduler.waiting(),
            light_items=waiting - heavy,
            heavy_items=heavy,
            seconds=self.admission.seconds.total,
            heavy_seconds=self.admission.heavy.total,
            bytes=self.admission.bytes_held,
            restarts=self._decoders.restarts(),
        )


def open_registry(settings: Settings, telemetry: Telemetry, progress: Progress = no_progress) -> Registry:
    """A model for each bundle of the settings, or for the first of the zoo. They are not checked yet.

    The first time on a machine the ways to run a bundle are measured, which takes seconds (`models.runtimes.select.choose`).

    Raises:
        BundleError, ConfigError: a bundle or a runtime that cannot be used.
    """
    if not settings.bundle and not zoo():
        raise ConfigError("no model comes with this installation; give one with --bundle DIR")
    bundles: dict[str, Bundle] = {}
    for name in settings.bundle or zoo()[:1]:
        bundle = read_bundle(find_bundle(name))
        if bundle.manifest.id in bundles:
            raise ConfigError(f"two bundles have the id {bundle.manifest.id!r}; export one of them under another")
        bundles[bundle.manifest.id] = bundle
    choices = [
        choose(settings.runtime, bundle, settings.threads, settings.precision, progress) for bundle in bundles.values()
    ]
    runtimes = [
        open_choice(choice, bundle, settings.threads) for bundle, choice in zip(bundles.values(), choices, strict=True)
    ]
    scheduler = Scheduler(telemetry.batch, max(runtime.lanes for runtime in runtimes))
    decoders = open_decoders(settings.decode_seconds)
    models = []
    for bundle, choice, runtime in zip(bundles.values(), choices, runtimes, strict=True):
        max_batch = min(settings.max_batch, runtime.batch_size)
        context = Context(bundle, runtime, scheduler, decoders, settings.decode_limits, max_batch)
        models.append(LoadedModel(choice, context))
    return Registry(models, scheduler, decoders, Admission(settings.max_bytes_in_flight, settings.queue_seconds))
