"""Measure what frozen features contain, beside baselines and the untrained network, and what the predictor knows.

--data names a train and a test part: `fashion-mnist`, a folder with `train/` and `test/` (or `val/`) inside, each with a folder
for each class, or TRAIN,TEST as in folder:A,folder:B. Method `swap` (mismatched blocks) needs no classes and uses the test
part alone. Features and accuracies are kept in the user's cache by the content of all that they depend on, so baselines are
computed once; --fresh computes everything again. The tables, then a verdict, go to standard output.
"""

import argparse
import logging
from pathlib import Path

from models.bundle.results import Results, ScoreRow, SwapRow
from models.errors import ConfigError, IJEPAError
from models.images.sources.base import ListOptions, Source
from models.io import atomic_write
from models.progress import Progress
from models.terminal import printable, progress_bars
from training.commands.reports import report_skipped
from training.evaluation.base import Classifier, FeatureProbe, NetworkProbe
from training.evaluation.cache import Cache, user_cache
from training.evaluation.measure import measure
from training.evaluation.networks import Network, open_network, other_precisions, untrained
from training.evaluation.parts import open_parts, open_test
from training.evaluation.table import PROBES
from training.evaluation.verdict import verdict

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    summaries = "; ".join(f"{name}: {probe.summary}" for name, probe in PROBES.items())
    parser.add_argument("model", metavar="CHECKPOINT|BUNDLE", help="a run, a step's folder, a bundle's folder or name")
    parser.add_argument(
        "--data", metavar="URI", required=True, help="fashion-mnist, DIR with train/ and test/, or TRAIN,TEST"
    )
    parser.add_argument("--by-suffix", action="store_true", help="tell images by their suffix alone (faster to list)")
    parser.add_argument(
        "--method", choices=tuple(PROBES), action="append", help=f"may be repeated; all by default. {summaries}"
    )
    parser.add_argument("--no-baselines", action="store_true", help="measure the network, trained and untrained, alone")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results there too")
    parser.add_argument("--fresh", action="store_true", help="use nothing that was computed before")


def run(args: argparse.Namespace) -> None:
    """Print the results as Markdown, then the verdict."""
    if args.json and not args.json.resolve().parent.is_dir():
        raise ConfigError(f"there is no folder {args.json.resolve().parent} for --json to write into")
    methods = {name: PROBES[name] for name in args.method or PROBES}
    classifiers = [each for probe in methods.values() if isinstance(probe, FeatureProbe) for each in probe.classifiers]
    network, options = open_network(args.model), ListOptions(args.by_suffix)
    rows: tuple[ScoreRow, ...] = ()
    if classifiers:
        parts = open_parts(args.data, options, progress_bars)
        for part in parts:
            report_skipped(part)
        test, data = parts.test, f"{parts.test.description}; classifiers fitted on {parts.train.description}"
        rows = tuple(
            measure(
                network,
                classifiers,
                parts,
                Cache(None if args.fresh else user_cache()),
                other_precisions(args.model),
                baselines=not args.no_baselines,
                progress=progress_bars,
            )
        )
    else:
        test = open_test(args.data, options, progress_bars)
        report_skipped(test)
        data = test.description
    questions = {name: probe for name, probe in methods.items() if isinstance(probe, NetworkProbe)}
    swap = tuple(
        row
        for name, probe in questions.items()
        for row in ask(name, probe, network, test, required=bool(args.method), progress=progress_bars)
    )
    results = Results(
        checkpoint_sha256=network.checkpoint_sha256,
        network=network.description,
        grid=network.config.encoder.grid,
        data=data,
        rows=rows,
        swap=swap,
    )
    print(printable(results.markdown()))
    print(verdict(rows, swap, measures_of(classifiers)))
    if args.json:
        atomic_write(args.json, results.model_dump_json(indent=2) + "\n")


def ask(
    name: str, probe: NetworkProbe, network: Network, images: Source, *, required: bool, progress: Progress
) -> tuple[SwapRow, ...]:
    """The rows of a probe of the network itself: trained and untrained. Where it is not `required`, failing is a warning."""
    try:
        return tuple(
            probe.measure(label, each, images, progress)
            for label, each in (("trained", network), ("untrained", untrained(network)))
        )
    except IJEPAError as error:
        if required:
            raise
        log.warning("method %s was left out: %s", name, error)
        return ()


def measures_of(classifiers: list[Classifier]) -> dict[str, str]:
    """The titles of the classifiers that decide the verdict, by which name; where none of them was asked for, all do."""
    deciding = {each.title: each.verdict for each in classifiers if each.verdict}
    return deciding or {each.title: each.title for each in classifiers}
