"""The encoder alone, on preprocessed pixels, in every way that a runtime and a precision leave open."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from models.bundle.reader import Bundle
from models.io import cache_folder
from models.progress import Progress, no_progress
from models.runtimes.choices import CACHE, Choice
from models.runtimes.measure import features_of, images_for_accuracy, images_of, lowest_cosines
from models.runtimes.networks import Runtime
from models.runtimes.select import GENERATED, open_choice
from models.runtimes.table import RUNTIMES
from service.bench.record import Engine, WaySpeed


class Runs(NamedTuple):
    """What some runs of a function took on average: seconds, and CPU seconds of all threads of this process."""

    seconds: float
    cpu_seconds: float


def measure_engine(
    choice: Choice,
    bundle: Bundle,
    threads: int,
    seconds: float,
    peaks: Mapping[str, float],
    progress: Progress = no_progress,
) -> Engine:
    """Every way of a choice, each measured for `seconds` in batches and for `seconds` image by image, and at least one run."""
    ways = (choice.chosen, *choice.others)
    measured = []
    with progress(len(ways), "measuring the engine", "ways") as stage:
        for way in ways:
            speed = WaySpeed(**way.model_dump(), chosen=way is choice.chosen)
            if way.images_per_second is not None:
                runtime = open_choice(Choice(chosen=way), bundle, threads)
                speed = _measured(speed, runtime, bundle, seconds)
                speed = _with_cosine(speed, runtime, bundle, threads)
                speed = _with_flops(speed, runtime, bundle, peaks)
            measured.append(speed)
            stage.update()
    return Engine(ways=tuple(measured), kept_in=str(cache_folder() / CACHE) if len(ways) > 1 else None)


def average_run(run: Callable[[], object], seconds: float) -> Runs:
    """Run a function once without counting it, then for some seconds and at least once."""
    run()
    start, cpu, count = time.perf_counter(), time.process_time(), 0
    while not count or time.perf_counter() - start < seconds:
        run()
        count += 1
    return Runs((time.perf_counter() - start) / count, (time.process_time() - cpu) / count)


def _measured(way: WaySpeed, runtime: Runtime, bundle: Bundle, seconds: float) -> WaySpeed:
    """In batches of the size that was found best, and image by image."""
    output, pixels = [bundle.manifest.default_pooling], images_of(bundle, way.batch_size)
    batch = average_run(lambda: runtime.encode(pixels, output), seconds)
    single = batch if len(pixels) == 1 else average_run(lambda: runtime.encode(pixels[:1], output), seconds)
    found = {
        "images_per_second": way.batch_size / max(batch.seconds, 1e-9),
        "single_ms": 1000 * single.seconds,
        "core_ms": 1000 * batch.cpu_seconds / way.batch_size,
    }
    return way.model_copy(update=found)


def _with_cosine(speed: WaySpeed, runtime: Runtime, bundle: Bundle, threads: int) -> WaySpeed:
    """Where neither the bundle records the accuracy nor the choice measured it, compare with float32 of the same runtime."""
    if speed.cosine is not None or speed.precision == "float32":
        return speed
    assert speed.single_ms is not None
    count = images_for_accuracy(1000 / speed.single_ms)
    exact = RUNTIMES[speed.runtime].load()(bundle, "float32", threads)
    cosines = lowest_cosines(features_of(exact, bundle, count), features_of(runtime, bundle, count))
    found = {"cosines": cosines, "cosine": min(cosines.values()), "measured_on": GENERATED}
    return speed.model_copy(update=found)


def _with_flops(speed: WaySpeed, runtime: Runtime, bundle: Bundle, peaks: Mapping[str, float]) -> WaySpeed:
    """GFLOP/s of what computes the network; their share of the peak only where the peak is of the same device and precision."""
    if not runtime.exact:
        return speed
    assert speed.images_per_second is not None
    gflops = speed.images_per_second * bundle.manifest.model.encoder.flop / 1e9
    peak = peaks.get(speed.precision) if RUNTIMES[speed.runtime].load().device == "cpu" else None
    return speed.model_copy(update={"gflops": gflops, "gemm_share": gflops / peak if peak else None})
