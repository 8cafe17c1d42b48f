"""List, show and verify bundles; pull and push them from and to the Hugging Face hub.

list shows the bundles in ./bundles, those in the user's own folder (~/.local/share/ijepa-features/bundles) and the bundled
ones; --bundle takes their names. On standard error it shows published weights and where to get them. pull stores a bundle in
the hub's cache (HF_HOME; with HF_HUB_OFFLINE=1 only the cache is used) and prints its folder, which --bundle takes too; the
licence is shown before the weights are downloaded.
"""

import argparse
import sys
from collections.abc import Callable
from typing import NamedTuple

from models.bundle import hub
from models.bundle.manifest import Manifest
from models.bundle.published import META_PAGE, PUBLISHED, restriction
from models.bundle.reader import ZOO, find_bundle, local_bundles, read_bundle, read_manifest, zoo
from models.errors import BundleError, ConfigError, UsageError
from models.inference.canonical import check_canonical
from models.runtimes.select import open_reference
from models.terminal import printable


class Action(NamedTuple):
    """What a word after `ijepa models` does, and the names that it takes."""

    do: Callable[[argparse.Namespace], None]
    names: tuple[str, ...]
    summary: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    usage = "; ".join(f"{' '.join((name, *action.names))}: {action.summary}" for name, action in ACTIONS.items())
    parser.add_argument("action", choices=tuple(ACTIONS), help=usage)
    parser.add_argument(
        "names", nargs="*", metavar="BUNDLE|ID", help="a bundle's name or folder; owner/name on the hub"
    )
    parser.add_argument("--revision", help="pull: a branch, tag or commit (default: the newest)")
    parser.add_argument("--private", action="store_true", help="push: create the repository as private")


def run(args: argparse.Namespace) -> None:
    """Do what was asked for."""
    action = ACTIONS[args.action]
    if len(args.names) != len(action.names):
        wanted = " ".join(("ijepa models", args.action, *action.names))
        raise UsageError(f"{args.action} takes {len(action.names)} names, {len(args.names)} were given: {wanted}")
    action.do(args)


def _list(_: argparse.Namespace) -> None:
    found: set[str] = set()
    for folder in (*local_bundles(), *(ZOO / name for name in zoo())):
        place = "bundled" if folder.parent == ZOO else str(folder)
        if folder.name in found:
            print(printable(f"{folder.name} ({place}) is hidden by the bundle of that name above"), file=sys.stderr)
            continue
        try:
            print(printable(f"{folder.name}  {_summary(read_manifest(folder))}, {place}"))
            found.add(folder.name)
        except BundleError as error:
            print(printable(f"ijepa models: {error}"), file=sys.stderr)
    print(
        f"\npublished weights, for ijepa import SOURCE --out DIR (a .pth.tar is downloaded first, see {META_PAGE}):",
        file=sys.stderr,
    )
    for published in PUBLISHED:
        print(
            f"\n  {published.trained_on}; licence {published.licence}{restriction(published.licence)}\n"
            f"    with predictor: {published.file}, from {published.url}\n"
            f"    encoder only: {published.hub}, from {published.hub_page}; or {published.timm}",
            file=sys.stderr,
        )


def _summary(manifest: Manifest) -> str:
    size = sum(file.size for file in manifest.files.values())
    return f"{size / 1e6:.1f} MB, trained on {manifest.source.trained_on}, licence {manifest.licence}"


def _show(args: argparse.Namespace) -> None:
    print(printable(read_bundle(find_bundle(args.names[0])).card()), end="")


def _verify(args: argparse.Namespace) -> None:
    bundle = read_bundle(find_bundle(args.names[0]))
    for precision in ("float32", *bundle.manifest.variants):
        try:
            runtime = open_reference(bundle, precision)
        except ConfigError as error:
            print(printable(f"{precision} was not checked: {error}"), file=sys.stderr)
            continue
        check_canonical(runtime, bundle)
    print(f"{bundle.manifest.id}  sha256 {bundle.sha256}")


def _pull(args: argparse.Namespace) -> None:
    manifest = hub.look_at_bundle(args.names[0], args.revision)
    print(printable(f"{manifest.id}: {_summary(manifest)}{restriction(manifest.licence)}"), file=sys.stderr)
    print(hub.pull_bundle(args.names[0], args.revision).folder)


def _push(args: argparse.Namespace) -> None:
    print(hub.push_bundle(read_bundle(find_bundle(args.names[0])), args.names[1], private=args.private))


ACTIONS = {
    "list": Action(_list, (), "all bundles found here, and the published weights that ijepa import reads"),
    "show": Action(_show, ("BUNDLE",), "print its model card"),
    "verify": Action(_verify, ("BUNDLE",), "check every file's sha256 and the outputs for the canonical image"),
    "pull": Action(_pull, ("ID",), "download a bundle from the hub and check it"),
    "push": Action(_push, ("BUNDLE", "ID"), "put a bundle on the hub"),
}
