"""Make a bundle of a checkpoint: three ONNX graphs, their proof of parity with torch, a manifest and a card.

With --to, the target encoder in the layout of timm, of transformers or as plain safetensors instead.
"""

import argparse
import re
import sys
from pathlib import Path

from models.checkpoint import read_checkpoint
from models.errors import ConfigError
from models.export import export_bundle
from models.formats import FORMATS, export_format
from models.results import read_results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="a step's folder, or a run's (its latest)")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="the bundle's folder; what is there is replaced"
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
    if args.to != "bundle":
        export_format(read_checkpoint(args.checkpoint), args.to, args.out, args.licence)
        print(args.out)
        return
    bundle_id = args.id or re.sub(r"[^a-z0-9._-]+", "-", args.out.resolve().name.lower()).strip("-._")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", bundle_id):
        raise ConfigError(f"{bundle_id!r} is no id; use small letters, digits, dots, dashes and underscores")
    manifest = export_bundle(
        read_checkpoint(args.checkpoint),
        args.out,
        bundle_id=bundle_id,
        licence=args.licence,
        weights=args.store,
        card=args.card.read_text() if args.card else None,
        measured=read_results(args.probes) if args.probes else None,
    )
    for name, parity in manifest.parity.items():
        print(
            f"{name}: off torch by at most {parity.max_difference:.1e}, allowed {parity.allowed:.1e}", file=sys.stderr
        )
    print(args.out)
