"""Which runtime and precision run a bundle here: what was asked for, or the fastest that is accurate enough.

There is no silent fallback: what was asked for and cannot be had is an error.
"""

from collections.abc import Mapping

from models.bundle.manifest import CONTEXT, ENCODER, PREDICTOR
from models.bundle.reader import FROM_FLOAT32, Bundle
from models.errors import ConfigError, IJEPAError
from models.inference.canonical import check_canonical
from models.progress import Progress, no_progress
from models.runtimes.choices import Choice, Way, choice_key, keep_choice, read_choice
from models.runtimes.measure import Features, features_of, images_for_accuracy, lowest_cosines, time_batches
from models.runtimes.networks import Runtime
from models.runtimes.routed import RoutedRuntime
from models.runtimes.table import RUNTIMES, RuntimeClass, load_runtimes

DEFAULT_BATCH = 8
"""Images at once on a CPU where nothing was timed; fewer for a large network."""
DEFAULT_BATCH_GPU = 32
GENERATED = "generated images"


REFERENCE = {"bfloat16": "openvino"}
"""The runtime for figures that should not depend on a choice, by precision; ONNX Runtime for the others."""


def open_runtime(
    name: str,
    bundle: Bundle,
    threads: int = 0,
    precision: str = "auto",
    progress: Progress = no_progress,
    output: str | None = None,
) -> Runtime:
    """A runtime by name or group, in a precision. `auto` is the fastest that is accurate enough; see `choose`.

    With `output`, nothing else will be asked for, and the precision is the one that this output is computed in.

    Raises:
        ConfigError: an unknown name, or a runtime or precision that cannot be had here.
    """
    choice = choose(name, bundle, threads, precision, progress)
    if output in choice.chosen.float32_outputs:
        choice = choose(name, bundle, threads, "float32", progress)
    return open_choice(choice, bundle, threads)


def open_reference(bundle: Bundle, precision: str = "float32") -> Runtime:
    """A bundle in a precision on a CPU, by the runtime of `REFERENCE`.

    Raises:
        ConfigError: this CPU or installation does not have it.
    """
    return open_runtime(REFERENCE.get(precision, "onnxruntime"), bundle, precision=precision)


def open_choice(choice: Choice, bundle: Bundle, threads: int = 0) -> Runtime:
    """The runtime of a choice, with the batch size that was found best."""
    way = choice.chosen
    runtime_class = RUNTIMES[way.runtime].load()
    runtime = runtime_class(bundle, way.precision, threads)
    runtime.batch_size = way.batch_size
    if not way.float32_outputs:
        return runtime
    return RoutedRuntime(runtime, lambda: runtime_class(bundle, "float32", threads), way.float32_outputs)


def choose(
    name: str,
    bundle: Bundle,
    threads: int = 0,
    precision: str = "auto",
    progress: Progress = no_progress,
    *,
    fresh: bool = False,
) -> Choice:
    """The fastest way to run a bundle's encoder among those that a name and a precision leave open.

    With `precision="auto"` a way counts only if the mean-centred cosine of the default pooling to float32 is at least the
    bundle's `accuracy_floor`; outputs that are below it are computed in float32. The cosine is what the bundle records, else it
    is measured here on generated images. Measuring takes seconds, and the answer is kept for this machine, these library
    versions and this bundle (`fresh`: measured again). Nothing is measured where only float32 on one runtime is left.

    Raises:
        ConfigError: see `open_runtime`.
    """
    runtimes = load_runtimes(name)
    ways = _ways(runtimes, bundle, precision)
    if len(ways) == 1 and (ways[0][1] == "float32" or runtimes[ways[0][0]].device is None) and not fresh:
        return Choice(chosen=_untimed(*ways[0], bundle, runtimes))
    key = choice_key(bundle.sha256, ways, [each.library() for each in runtimes.values()], threads)
    kept = None if fresh else read_choice(key)
    if kept is None:
        measured = _measure_all(runtimes, ways, bundle, threads, progress)
        if precision == "auto":
            measured = [_with_accurate_outputs(way, bundle) for way in measured]
        kept = _rank(measured, bundle, threads)
        keep_choice(key, kept)
    return kept


def _ways(runtimes: Mapping[str, RuntimeClass], bundle: Bundle, precision: str) -> list[tuple[str, str]]:
    """Runtimes and precisions that the bundle and the machine have, float32 first: the others are compared with it.

    Raises:
        ConfigError: none of them in this precision.
    """
    stored = (*FROM_FLOAT32, *(name for name in bundle.manifest.variants if name not in FROM_FLOAT32))
    ways = [
        (name, each)
        for name, runtime in runtimes.items()
        for each in runtime.precisions()
        if each in stored and precision in ("auto", each)
    ]
    if not ways:
        computable = {each for runtime in runtimes.values() for each in runtime.precisions()}
        raise ConfigError(
            f"bundle {bundle.manifest.id} has no precision {precision!r} on {', '.join(runtimes)}; it has "
            f"{', '.join(each for each in stored if each in computable)} (more are made by ijepa export --precision)"
        )
    return sorted(ways, key=lambda way: way[1] != "float32")


def _untimed(name: str, precision: str, bundle: Bundle, runtimes: Mapping[str, RuntimeClass]) -> Way:
    """A way with what the bundle says of it."""
    on_cpu = runtimes[name].device == "cpu"
    batch = bundle.manifest.model.encoder.cpu_batch_size(DEFAULT_BATCH) if on_cpu else DEFAULT_BATCH_GPU
    variant = bundle.manifest.variants.get(precision)
    if variant is None:
        return Way(runtime=name, precision=precision, batch_size=batch)
    graphs = {graph: each.first_percentile for graph, each in variant.accuracy.items()}
    poolings = {pooling: each.first_percentile for pooling, each in variant.poolings.items()}
    encoder = graphs.pop(ENCODER)
    return Way(
        runtime=name,
        precision=precision,
        batch_size=batch,
        cosine=variant.worst,
        cosines=graphs | (poolings or dict.fromkeys(bundle.manifest.poolings, encoder)),
        measured_on=f"{variant.images:,} images of {variant.measured_on}",
    )


def _measure_all(
    runtimes: Mapping[str, RuntimeClass],
    ways: list[tuple[str, str]],
    bundle: Bundle,
    threads: int,
    progress: Progress,
) -> list[Way]:
    """Each way by itself: its runtime is opened, measured and dropped before the next one is opened."""
    exact: Features = {}
    images, measured = 0, []
    with progress(len(ways), f"timing the ways to run {bundle.manifest.id}", "ways") as stage:
        for name, precision in ways:
            way = _untimed(name, precision, bundle, runtimes)
            try:
                runtime = runtimes[name](bundle, precision, threads)
                found = time_batches(runtime, bundle)._asdict()
                if precision == "float32":
                    images = images or images_for_accuracy(found["images_per_second"])
                    exact = exact or features_of(runtime, bundle, images)
                elif way.cosine is None and exact:
                    cosines = lowest_cosines(exact, features_of(runtime, bundle, images))
                    found |= {"cosines": cosines, "cosine": min(cosines.values()), "measured_on": GENERATED}
                measured.append(way.model_copy(update=found))
            except IJEPAError as error:
                measured.append(way.model_copy(update={"problem": str(error)}))
            stage.update()
    return measured


def _with_accurate_outputs(way: Way, bundle: Bundle) -> Way:
    """The way with the outputs that are accurate enough, the others in float32; not used where the default pooling is not."""
    if way.precision == "float32" or way.problem is not None:
        return way
    least, default = bundle.manifest.accuracy_floor, bundle.manifest.default_pooling
    within = {name: cosine for name, cosine in way.cosines.items() if cosine >= least}
    if default not in within:
        return way.model_copy(update={"problem": f"below accuracy_floor {least}"})
    graphs = (CONTEXT, PREDICTOR) if bundle.manifest.predicts else ()
    others = tuple(name for name in (*bundle.manifest.poolings, *graphs) if name not in within)
    return way.model_copy(update={"cosine": min(within.values()), "float32_outputs": others})


def _rank(measured: list[Way], bundle: Bundle, threads: int) -> Choice:
    """The fastest that may be chosen and computes the canonical image; then all others, the fastest first.

    Raises:
        ConfigError: none can be used.
    """
    ranked = sorted(measured, key=lambda way: -(way.images_per_second or 0.0))
    for place, way in enumerate(ranked):
        if way.problem is None:
            try:
                check_canonical(open_choice(Choice(chosen=way), bundle, threads), bundle)
            except IJEPAError as error:
                ranked[place] = way.model_copy(update={"problem": str(error)})
                continue
            return Choice(chosen=way, others=tuple(other for other in ranked if other is not way))
    raise ConfigError(f"no way to run {bundle.manifest.id} can be used here: {'; '.join(map(str, ranked))}")
