"""Measure what can be read off frozen features, beside the floors that they have to beat, and what the predictor knows.

--data names a source by its two parts: `fashion-mnist` (its train and test), or TRAIN,TEST as in folder:A,folder:B. Method
`swap` needs no classes and uses TEST alone. Features and scores are kept in the user's cache by the content of all that they
depend on, so floors are computed once; --fresh computes everything again.
"""

import argparse
from pathlib import Path

from models.errors import DataError
from models.files import write_whole
from models.results import Results
from training.data import Source, open_source
from training.probes import PROBES
from training.probes.cache import Cache, user_cache
from training.probes.measure import measure
from training.probes.networks import open_network, untrained
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
    network = open_network(args.model)
    cache = Cache(None if args.fresh else user_cache())
    methods = args.method or [*PROBES, *([SWAP] if network.predict else [])]
    probes = [probe for method in methods if method in PROBES for probe in PROBES[method]]
    if probes:
        train, test = open_parts(args.data)
        data = f"{test.description}; classifiers fitted on {train.description}"
        rows = tuple(measure(network, probes, (train, test), cache))
    else:
        test = open_source(uris_of(args.data)[-1])
        data, rows = test.description, ()
    swap = tuple(
        swapped_blocks(each, test).summary(name)
        for name, each in (("trained", network), ("untrained", untrained(network)))
        if SWAP in methods
    )
    results = Results(data=data, rows=rows, swap=swap)
    print(results.markdown(), end="")
    if args.json:
        write_whole(args.json, results.model_dump_json(indent=2) + "\n")


def uris_of(data: str) -> list[str]:
    """The URIs of the parts that --data names."""
    return data.split(",") if "," in data else [f"{data}:train", f"{data}:test"] if data == "fashion-mnist" else [data]


def open_parts(data: str) -> tuple[Source, Source]:
    """The train and the test part.

    Raises:
        DataError: no second part, or no labels.
    """
    uris = uris_of(data)
    if len(uris) != 2:
        raise DataError(f"--data {data!r} has one part; a probe needs two, TRAIN,TEST")
    train, test = (open_source(uri) for uri in uris)
    for part, uri in ((train, uris[0]), (test, uris[1])):
        if part.labels is None:
            raise DataError(f"{uri} has no classes; put the pictures of each class into a folder of its own")
    if train.classes != test.classes:
        raise DataError(
            f"the two parts have different classes: {', '.join(train.classes)} and {', '.join(test.classes)}"
        )
    return train, test
