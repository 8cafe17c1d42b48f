"""Make a bundle of a checkpoint: three ONNX graphs, their proof of parity with torch, a manifest and a card.

With --to, the target encoder in the layout of timm, of transformers or as plain safetensors instead.
"""

import argparse
import re
import sys
from pathlib import Path

import numpy as np

from models.bundle import check_id
from models.checkpoint import read_checkpoint
from models.errors import ConfigError, UsageError
from models.export import export_bundle
from models.formats import FORMATS, export_format
from models.precisions import FOR_ACCURACY, FOR_RANGES, MAKERS, Pictures
from models.preprocess import PixelRecipe, to_pixels
from models.progress import progress
from models.resize import resized
from models.results import read_results
from models.whitening import TO_WHITEN, drawn
from training.data import open_source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="a step's folder, or a run's (its latest)")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="the folder to write; a bundle that is there is replaced"
    )
    parser.add_argument("--to", choices=("bundle", *FORMATS), default="bundle", help="what to write (bundle)")
    parser.add_argument("--id", help="the name that clients call the model by (the folder's name)")
    parser.add_argument(
        "--licence", help="of the weights, shown wherever the model is (what the checkpoint says, else unspecified)"
    )
    parser.add_argument(
        "--store",
        choices=("float32", "float16"),
        default="float32",
        help="float16 halves the files: matrices are rounded, stored so, and computed with in float32",
    )
    parser.add_argument(
        "--size",
        metavar="PIXELS",
        help="pictures of another size or shape than the network was trained on: 448, or 448x224 (height x width)",
    )
    parser.add_argument(
        "--precision",
        action="append",
        choices=tuple(MAKERS),
        help="write this precision beside float32, and how close it is; may be repeated",
    )
    parser.add_argument(
        "--whiten",
        metavar="URI",
        help="add a whitened form of every pooling, fitted on these pictures, for search and neighbours by cosine",
    )
    parser.add_argument("--calibration", metavar="URI", help="pictures to quantise with and to measure a precision on")
    parser.add_argument(
        "--card",
        metavar="FILE",
        type=Path,
        help="the text of the model card; what was measured is added (one is written without)",
    )
    parser.add_argument(
        "--probes",
        metavar="FILE",
        type=Path,
        help="what 'ijepa probe --json' wrote, to ship in the manifest and the card",
    )


def run(args: argparse.Namespace) -> None:
    """Export and say how exact it is."""
    checkpoint = read_checkpoint(args.checkpoint)
    if args.size:
        checkpoint = resized(checkpoint, read_size(args.size))
    if args.to != "bundle":
        given = [
            name
            for name in ("store", "precision", "calibration", "whiten", "card", "probes", "id")
            if getattr(args, name)
        ]
        if given := [name for name in given if (name, args.store) != ("store", "float32")]:
            raise UsageError(f"--to {args.to} writes the target encoder in float32; --{given[0]} is for bundles")
        export_format(checkpoint, args.to, args.out, args.licence)
        print(args.out)
        return
    bundle_id = args.id or re.sub(r"[^a-z0-9._-]+", "-", args.out.resolve().name.lower()).strip("-._")
    precisions = tuple(dict.fromkeys(args.precision or ()))
    if bool(precisions) != bool(args.calibration):
        raise UsageError(
            "--precision and --calibration URI go together: a precision is made for and measured on pictures"
        )
    manifest = export_bundle(
        checkpoint,
        args.out,
        bundle_id=check_id(bundle_id),
        licence=args.licence,
        weights=args.store,
        card=read_card(args.card) if args.card else None,
        measured=read_results(args.probes) if args.probes else None,
        precisions=precisions,
        pictures=pictures_of(args.calibration, checkpoint.config.pixels, FOR_RANGES + FOR_ACCURACY)
        if precisions
        else None,
        whiten=pictures_of(args.whiten, checkpoint.config.pixels, TO_WHITEN) if args.whiten else None,
    )
    for name, parity in manifest.parity.items():
        print(
            f"{name}: off torch by at most {parity.max_difference:.1e}, allowed {parity.allowed:.1e}", file=sys.stderr
        )
    for name, variant in manifest.variants.items():
        offered = "offered" if variant.worst >= manifest.accuracy_floor else "not offered"
        print(
            f"{name}: mean-centred cosine to float32 at least {variant.worst:.5f} for 99 % of pictures; {offered} by "
            f"--precision auto (floor {manifest.accuracy_floor})",
            file=sys.stderr,
        )
    print(args.out)


def read_card(path: Path) -> str:
    """The text of a model card.

    Raises:
        ConfigError: no text in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from error


def read_size(text: str) -> tuple[int, int]:
    """`448`, or `448x224`.

    Raises:
        UsageError: neither.
    """
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not match:
        raise UsageError(f"--size {text!r} is no size; give pixels, as in 448 or 448x224 (height x width)")
    return int(match[1]), int(match[2] or match[1])


def pictures_of(uri: str, recipe: PixelRecipe, most: int) -> Pictures:
    """At most so many pictures, drawn from all over a source."""
    source = open_source(uri)
    order = drawn(len(source), most)
    with progress(len(order), f"reading {source.description}", "pictures") as bar:
        pixels = []
        for i in order:
            pixels.append(to_pixels(source.open(int(i)), recipe))
            bar.update()
    return Pictures(np.stack(pixels), source.description)
