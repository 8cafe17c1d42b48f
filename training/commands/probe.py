"""Measure what can be read off frozen features, beside the floors that they have to beat, and what the predictor knows.

--data names a source by its two parts: `fashion-mnist` (its train and test), or TRAIN,TEST as in folder:A,folder:B. Method
`swap` needs no classes and uses TEST alone. Features and accuracies are kept in the user's cache by the content of all that they
depend on, so floors are computed once; --fresh computes everything again.
"""

import argparse
import sys
from pathlib import Path

from models.errors import ConfigError, DataError, IJEPAError
from models.files import write_whole
from models.results import Results, ScoreRow, SwapRow
from training.data import Source, open_source
from training.probes import PROBES
from training.probes.cache import Cache, user_cache
from training.probes.measure import measure
from training.probes.networks import Network, open_network, other_precisions, untrained
from training.probes.swap import swapped_blocks

SWAP = "swap"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="CHECKPOINT|BUNDLE", help="a run, a step's folder, a bundle's folder or name")
    parser.add_argument("--data", metavar="URI", required=True, help="fashion-mnist, or TRAIN,TEST")
    parser.add_argument("--method", choices=(*PROBES, SWAP), action="append", help="may be repeated (all)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results there too")
    parser.add_argument("--fresh", action="store_true", help="use nothing that was computed before")


def run(args: argparse.Namespace) -> None:
    """Print the results as Markdown."""
    if args.json and not args.json.resolve().parent.is_dir():
        raise ConfigError(f"there is no folder {args.json.resolve().parent} for --json to write into")
    network, cache = open_network(args.model), Cache(None if args.fresh else user_cache())
    methods = args.method or [*PROBES, SWAP]
    probes = [probe for method in methods if method in PROBES for probe in PROBES[method]]
    rows: tuple[ScoreRow, ...] = ()
    if probes:
        train, test = open_parts(args.data)
        data = f"{test.description}; classifiers fitted on {train.description}"
        rows = tuple(measure(network, probes, (train, test), cache, other_precisions(args.model)))
    else:
        test = open_source(uris_of(args.data)[-1])
        data = test.description
    results = Results(
        checkpoint_sha256=network.checkpoint_sha256,
        network=network.description,
        grid=network.config.encoder.grid,
        data=data,
        rows=rows,
        swap=swap(network, test, asked=bool(args.method)) if SWAP in methods else (),
    )
    print(results.markdown(), end="")
    if args.json:
        write_whole(args.json, results.model_dump_json(indent=2) + "\n")


def swap(network: Network, pictures: Source, asked: bool) -> tuple[SwapRow, ...]:
    """Swapped blocks by the network, and by the same one untrained. What cannot be had and was not asked for is only said."""
    try:
        return tuple(
            swapped_blocks(each, pictures).summary(name)
            for name, each in (("trained", network), ("untrained", untrained(network)))
        )
    except IJEPAError as error:
        if asked:
            raise
        print(f"no swapped blocks: {error}", file=sys.stderr)
        return ()


def uris_of(data: str) -> list[str]:
    """The URIs of the parts that --data names."""
    if data == "fashion-mnist":
        return [f"{data}:train", f"{data}:test"]
    return data.split(",")


def open_parts(data: str) -> tuple[Source, Source]:
    """The train and the test part.

    Raises:
        DataError: not two parts, the same twice, no labels, or different classes.
    """
    uris = uris_of(data)
    if len(uris) != 2:
        raise DataError(f"--data {data!r} names {len(uris)} parts; a probe needs two, TRAIN,TEST")
    train, test = (open_source(uri) for uri in uris)
    for part, uri in ((train, uris[0]), (test, uris[1])):
        if part.labels is None:
            raise DataError(f"{uri} has no classes; put the pictures of each class into a folder of its own")
    if train.classes != test.classes:
        raise DataError(
            f"the two parts have different classes: {', '.join(train.classes)} and {', '.join(test.classes)}"
        )
    if train.digest() == test.digest():
        raise DataError(f"{uris[0]} and {uris[1]} hold the same pictures; a test on what was fitted tells nothing")
    return train, test
