"""Make a bundle from a checkpoint: three ONNX graphs, checked against PyTorch, a manifest and a model card.

With --to, the target encoder in the layout of timm, of transformers or as plain safetensors instead. With a bundle in place of
the checkpoint, a copy of it that has more precisions.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import get_args

from models.bundle.manifest import ENCODER, Manifest, StoredWeights
from models.bundle.reader import MAX_CARD_BYTES, check_id
from models.bundle.results import read_results
from models.checkpoint.store import Checkpoint, read_checkpoint
from models.errors import ConfigError, UsageError
from models.export.decoding import DecodedImages, read_decoded_images
from models.export.formats import FORMATS, export_format
from models.export.pipeline import export_bundle
from models.export.quantize import N_ACCURACY_IMAGES, N_RANGE_IMAGES, QUANTIZERS, CalibrationImages
from models.export.resize import resize_checkpoint
from models.export.whitening import MAX_WHITENING_IMAGES
from models.images.sources.base import ListOptions
from models.images.sources.table import open_source
from models.io import read_within
from models.terminal import progress_bars
from training.commands.export_bundle import add_to_bundle, find_given_bundle
from training.commands.images import read_images
from training.commands.reports import report_skipped, report_unreadable

BUNDLE_OPTIONS = ("id", "store", "precision", "calibration", "whiten", "scaled_decoding", "by_suffix", "card", "probes")
"""Options that other formats do not take."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        type=Path,
        help="a step's folder, or a run's (its latest step); with --precision also a bundle's folder or name",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="the folder to write; an existing bundle is replaced"
    )
    parser.add_argument("--to", choices=("bundle", *FORMATS), default="bundle", help="what to write (bundle)")
    parser.add_argument(
        "--id", help="the name of the model for clients (default: the name of the folder; of a bundle, its own)"
    )
    parser.add_argument("--licence", help="licence of the weights (default: what the checkpoint states)")
    parser.add_argument(
        "--dataset-name",
        metavar="NAME",
        help="what the model card calls the images that the network was trained on (default: the description of --data)",
    )
    parser.add_argument(
        "--store",
        choices=get_args(StoredWeights),
        default="float32",
        help="float16 halves the files: matrices are rounded and stored as float16, and computed with in float32",
    )
    parser.add_argument(
        "--size",
        metavar="PIXELS",
        help="another image size than that of the training: 448, or 448x224 (height x width)",
    )
    parser.add_argument(
        "--precision",
        action="append",
        choices=tuple(QUANTIZERS),
        help="add this precision, with its measured accuracy, beside float32 (bfloat16 has no files: it is a way of running the "
        "float32 graphs); may be repeated; needs --calibration",
    )
    parser.add_argument("--calibration", metavar="URI", help="images to quantise with and to measure a precision on")
    parser.add_argument(
        "--whiten",
        metavar="URI",
        help="add a whitened form of every pooling, fitted on these images, for search by cosine similarity",
    )
    parser.add_argument(
        "--scaled-decoding",
        metavar="URI",
        help="decode large JPEGs at a smaller scale, several times faster, if the embeddings of these images stay within the "
        "bundle's accuracy_floor; the accuracy is recorded either way",
    )
    parser.add_argument("--by-suffix", action="store_true", help="tell images by their suffix alone (faster to list)")
    parser.add_argument(
        "--card",
        metavar="FILE",
        type=Path,
        help="a text for the model card, to which the measurements are added (default: a generated description)",
    )
    parser.add_argument(
        "--probes",
        metavar="FILE",
        type=Path,
        help="the file that 'ijepa probe --json' wrote, for the manifest and the model card",
    )


def run(args: argparse.Namespace) -> None:
    """Export, and report the accuracy."""
    if args.to != "bundle" and (given := _given_bundle_options(args)):
        raise UsageError(
            f"--{given[0].replace('_', '-')} applies to bundles; --to {args.to} writes the target encoder in float32"
        )
    if bundle := find_given_bundle(args.checkpoint):
        print_accuracy(add_to_bundle(bundle, args))
        print(args.out)
        return
    checkpoint = read_checkpoint(args.checkpoint)
    if args.size:
        checkpoint = resize_checkpoint(checkpoint, read_size(args.size))
    if args.to == "bundle":
        manifest = make_bundle(checkpoint, args)
        print_accuracy(manifest)
        print_scaled_decoding(manifest)
    else:
        export_format(checkpoint, args.to, args.out, args.licence, args.dataset_name)
    print(args.out)


def _given_bundle_options(args: argparse.Namespace) -> list[str]:
    options = vars(args)
    return [name for name in BUNDLE_OPTIONS if options[name] and (name, options[name]) != ("store", "float32")]


def make_bundle(checkpoint: Checkpoint, args: argparse.Namespace) -> Manifest:
    """Export a bundle as the options say.

    Raises:
        UsageError: --precision without --calibration, or the other way round.
    """
    precisions = tuple(dict.fromkeys(args.precision or ()))
    if bool(precisions) != bool(args.calibration):
        raise UsageError("--precision and --calibration go together: a precision is calibrated and measured on images")
    bundle_id = args.id or re.sub(r"[^a-z0-9._-]+", "-", args.out.resolve().name.lower()).strip("-._")
    measured_images = N_RANGE_IMAGES + N_ACCURACY_IMAGES

    def images_of(uri: str, limit: int) -> CalibrationImages:
        return read_images(uri, ListOptions(args.by_suffix), checkpoint.config.pixels, limit, progress_bars)

    def decoded_images_of(uri: str) -> DecodedImages:
        source = open_source(uri, ListOptions(args.by_suffix), progress_bars)
        report_skipped(source)
        images = read_decoded_images(source, checkpoint.config.pixels, progress_bars)
        report_unreadable(images.unreadable, len(source))
        return images

    return export_bundle(
        checkpoint,
        args.out,
        bundle_id=check_id(bundle_id),
        licence=args.licence,
        dataset_name=args.dataset_name,
        weights=args.store,
        card=read_card(args.card) if args.card else None,
        measured=read_results(args.probes) if args.probes else None,
        precisions=precisions,
        images=images_of(args.calibration, measured_images) if precisions else None,
        whiten=images_of(args.whiten, MAX_WHITENING_IMAGES) if args.whiten else None,
        decoded=decoded_images_of(args.scaled_decoding) if args.scaled_decoding else None,
        progress=progress_bars,
    )


def print_accuracy(manifest: Manifest) -> None:
    """Parity with PyTorch, and how close other precisions are to float32."""
    for name, parity in manifest.parity.items():
        print(
            f"{name}: max abs difference from PyTorch {parity.max_difference:.1e} (allowed: {parity.allowed:.1e})",
            file=sys.stderr,
        )
    for name, variant in manifest.variants.items():
        outputs = variant.poolings | {graph: each for graph, each in variant.accuracy.items() if graph != ENCODER}
        cosines = ", ".join(f"{output} {each.first_percentile:.5f}" for output, each in outputs.items())
        print(
            f"{name}: mean-centred cosine to float32, at least, for 99 % of images: {cosines} (accuracy_floor "
            f"{manifest.accuracy_floor}: --precision auto computes in float32 what is below)",
            file=sys.stderr,
        )


def print_scaled_decoding(manifest: Manifest) -> None:
    """How close embeddings of JPEGs decoded at a smaller scale are, and whether the bundle decodes so."""
    if measured := manifest.scaled_decoding:
        used = "used" if manifest.model.pixels.decoding == "scaled" else "not used, JPEGs are decoded in full"
        print(
            f"scaled decoding: mean-centred cosine to exact decoding at least {measured.accuracy.first_percentile:.5f} for 99 % "
            f"of {measured.images:,} large JPEGs; {used} (accuracy_floor {manifest.accuracy_floor})",
            file=sys.stderr,
        )


def read_card(path: Path) -> str:
    """The text of a model card.

    Raises:
        ConfigError: not UTF-8, or larger than a bundle's card may be.
    """
    try:
        return read_within(path, MAX_CARD_BYTES).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except ValueError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def read_size(text: str) -> tuple[int, int]:
    """Height and width of `448` or `448x224`.

    Raises:
        UsageError: neither.
    """
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not match:
        raise UsageError(f"--size {text!r} is not a size; give pixels, as in 448 or 448x224 (height x width)")
    return int(match[1]), int(match[2] or match[1])
