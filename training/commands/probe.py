"""Measure what can be read off frozen features, beside the same network untrained.

--data names a source by its two parts: `fashion-mnist` (its train and test), or TRAIN,TEST as in folder:A,folder:B.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from models.bundle import MANIFEST, ZOO, find_bundle, read_bundle
from models.checkpoint import load_model, read_checkpoint
from models.errors import DataError
from models.files import write_whole
from training.data import Source, open_source
from training.probes import PROBES, Split, run_probe
from training.probes.features import Features, of_bundle, of_model, untrained


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="CHECKPOINT|BUNDLE", help="a run, a step's folder, a bundle's folder or name")
    parser.add_argument("--data", metavar="URI", required=True, help="fashion-mnist, or TRAIN,TEST")
    parser.add_argument("--method", choices=tuple(PROBES), action="append", help="may be repeated (all)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the scores there too")


def run(args: argparse.Namespace) -> None:
    """Print a Markdown table of scores."""
    train, test = open_parts(args.data)
    splits = dict(splits_of(args.model, train, test))
    scores: dict[str, Any] = {"data": f"{train.description}; {test.description}", "methods": {}}
    print("| probe | pooling | network | test accuracy | 95 % interval | chosen on a held-out part of train |")
    print("|---|---|---|---|---|---|")
    for method in args.method or PROBES:
        for name, split in splits.items():
            for pooling in split.train:
                score = run_probe(method, pooling, split)
                interval = f"{score.low:.2%} to {score.high:.2%}"
                row = (method, pooling, name, f"{score.accuracy:.2%}", interval, score.chosen)
                print(f"| {' | '.join(row)} |", flush=True)
                scores["methods"].setdefault(method, {}).setdefault(pooling, {})[name] = score._asdict()
    if args.json:
        write_whole(args.json, json.dumps(scores, indent=2) + "\n")


def splits_of(model: str, train: Source, test: Source) -> list[tuple[str, Split]]:
    """Features of the trained network, and of the same one untrained."""
    if any((folder / MANIFEST).is_file() for folder in (Path(model), ZOO / model)):
        bundle = read_bundle(find_bundle(model))
        config, features = bundle.manifest.model, [of_bundle(bundle, part) for part in (train, test)]
    else:
        checkpoint = read_checkpoint(Path(model))
        network = load_model(checkpoint)
        config, features = checkpoint.config, [of_model(network, part) for part in (train, test)]
    floor = untrained(config, seed=0)
    return [
        ("trained", as_split(features, train, test)),
        ("untrained", as_split([of_model(floor, p) for p in (train, test)], train, test)),
    ]


def as_split(features: list[Features], train: Source, test: Source) -> Split:
    """Features with their labels."""
    assert train.labels is not None
    assert test.labels is not None
    return Split(features[0], train.labels, features[1], test.labels)


def open_parts(data: str) -> tuple[Source, Source]:
    """The train and the test part.

    Raises:
        DataError: no second part, or no labels.
    """
    uris = data.split(",") if "," in data else [f"{data}:train", f"{data}:test"] if data == "fashion-mnist" else [data]
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
