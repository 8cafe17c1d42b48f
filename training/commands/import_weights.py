"""Make a checkpoint from published weights: Meta's .pth.tar with its predictor, a transformers IJepaModel, a timm model.

Every tensor must be present, expected and finite; code in a file is never run. Parts that a source does not have (transformers
and timm have one encoder and no predictor) are listed as absent in the checkpoint.
"""

import argparse
import sys
from pathlib import Path
from typing import get_args

from models.bundle.published import find_published, restriction
from models.checkpoint.store import write_checkpoint
from models.errors import ConfigError, UsageError
from models.importers.base import PreprocessingChoice
from models.importers.table import describe_sources, import_source
from models.terminal import printable, progress_bars


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("source", metavar="SOURCE", help=describe_sources())
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="the folder of the checkpoint")
    parser.add_argument(
        "--heads", type=int, metavar="N", help="attention heads of a network that is not in the table of sizes"
    )
    parser.add_argument(
        "--preprocessing",
        choices=get_args(PreprocessingChoice),
        default="trained",
        help="trained: the statistics and the evaluation that the network was trained with (default); "
        "upstream: what the source's own image processor does, to reproduce its outputs",
    )
    parser.add_argument("--licence", help="licence of the weights, in place of what the source states")


def run(args: argparse.Namespace) -> None:
    """Import, and report what was inferred."""
    if args.heads is not None and args.heads < 1:
        raise UsageError(f"--heads is {args.heads}; expected at least 1")
    if args.out.exists() and any(args.out.iterdir()):
        raise ConfigError(f"{args.out} is not empty; use another --out")
    if published := find_published(args.source):
        print(f"{args.source}: licence {published.licence}{restriction(published.licence)}", file=sys.stderr)
    imported = import_source(args.source, args.heads, args.preprocessing, args.licence, progress_bars)
    write_checkpoint(args.out, imported.config, imported.tensors, imported.training)
    encoder, pixels, training = imported.config.encoder, imported.config.pixels, imported.training
    rows, columns = encoder.grid
    lines = (
        f"{encoder.depth} blocks of width {encoder.width}, {rows}x{columns} patches of {encoder.patch_size} pixels",
        *imported.notes,
        f"preprocessing: {pixels.fit}, {pixels.interpolation}, mean {pixels.mean}, std {pixels.std}",
        f"trained on {training.trained_on}; licence {training.licence}{restriction(training.licence)}",
    )
    for line in lines:
        print(printable(line), file=sys.stderr)
    print(args.out)
