"""Make a checkpoint of published weights: Meta's .pth.tar with its predictor, a transformers IJepaModel, a timm model.

Every tensor must be there, be expected, and be finite; no code in a file is run. What a source lacks (transformers' and timm's
have one encoder and no predictor) the checkpoint names as absent.
"""

import argparse
import sys
from pathlib import Path

from models.checkpoint import write_checkpoint
from models.errors import ConfigError, UsageError
from models.published import find_published, restriction
from models.sources import import_source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a .pth.tar, a folder or Hugging Face id (owner/name) of an IJepaModel, or timm:NAME",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="the checkpoint's folder")
    parser.add_argument(
        "--heads", type=int, metavar="N", help="attention heads, of a network that is not in the table of sizes"
    )
    parser.add_argument(
        "--preprocessing",
        choices=("trained", "upstream"),
        default="trained",
        help="trained: the statistics and the evaluation the network was trained with (default); "
        "upstream: what the source's own image processor does, where its numbers are needed",
    )
    parser.add_argument("--licence", help="of the weights, where you know better than the source")


def run(args: argparse.Namespace) -> None:
    """Import, and say what was taken for granted."""
    if args.heads is not None and args.heads < 1:
        raise UsageError(f"--heads is {args.heads}; a network has at least 1")
    if args.out.exists() and any(args.out.iterdir()):
        raise ConfigError(f"{args.out} is not empty; use another --out")
    if published := find_published(args.source):
        print(f"{args.source}: licence {published.licence}{restriction(published.licence)}", file=sys.stderr)
    imported = import_source(args.source, args.heads, args.preprocessing, args.licence)
    write_checkpoint(args.out, imported.config, imported.tensors, imported.training)
    encoder, pixels, training = imported.config.encoder, imported.config.pixels, imported.training
    rows, columns = encoder.grid
    lines = (
        f"{encoder.depth} blocks of {encoder.width}, {rows}x{columns} patches of {encoder.patch_size} pixels",
        *imported.notes,
        f"pixels: {pixels.fit}, {pixels.interpolation}, mean {pixels.mean}, std {pixels.std}",
        f"trained on {training['trained_on']}; licence {training['licence']}{restriction(training['licence'])}",
    )
    for line in lines:
        print(line, file=sys.stderr)
    print(args.out)
