"""Bundles: which there are, what one is, whether it is whole, and to and from the Hugging Face hub.

pull leaves a bundle in the hub's cache (HF_HOME; with HF_HUB_OFFLINE=1 nothing else is asked) and prints its folder, which
--bundle takes; the licence is shown before the weights are fetched.
"""

import argparse
import sys
from collections.abc import Callable
from typing import NamedTuple

from models import hub
from models.bundle import CARD, find_bundle, read_bundle, read_manifest, zoo
from models.errors import UsageError
from models.published import PUBLISHED, restriction
from service.engine import Device, Engine
from service.runtimes import open_runtime
from service.settings import read_settings


class Action(NamedTuple):
    """One word after `ijepa models`: what it does, and the names that it takes."""

    do: Callable[[argparse.Namespace], None]
    names: tuple[str, ...]
    summary: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    usage = "; ".join(f"{' '.join((name, *action.names))}: {action.summary}" for name, action in ACTIONS.items())
    parser.add_argument("action", choices=tuple(ACTIONS), help=usage)
    parser.add_argument(
        "names", nargs="*", metavar="BUNDLE|ID", help="a bundled model or a folder; owner/name on the hub"
    )
    parser.add_argument("--revision", help="of pull: a branch, tag or commit (the newest)")
    parser.add_argument("--private", action="store_true", help="of push, if the repository is new")


def run(args: argparse.Namespace) -> None:
    """Do what was asked for."""
    action = ACTIONS[args.action]
    if len(args.names) != len(action.names):
        wanted = " ".join(("ijepa models", args.action, *action.names))
        raise UsageError(f"{args.action} takes {len(action.names)} names, {len(args.names)} were given: {wanted}")
    action.do(args)


def _list(_: argparse.Namespace) -> None:
    for name in zoo():
        manifest = read_manifest(find_bundle(name))
        size = sum(file.size for file in manifest.files.values())
        print(f"{name}  {size / 1e6:.1f} MB, trained on {manifest.source.trained_on}, {manifest.licence}")
    print("\npublished weights, for ijepa import:", file=sys.stderr)
    for published in PUBLISHED:
        print(f"  {', '.join(published.names)}: {published.trained_on}, {published.licence}", file=sys.stderr)


def _show(args: argparse.Namespace) -> None:
    print(read_bundle(find_bundle(args.names[0])).path(CARD).read_text(), end="")


def _verify(args: argparse.Namespace) -> None:
    bundle = read_bundle(find_bundle(args.names[0]))
    settings = read_settings(runtime="cpu")
    for precision in ("float32", *bundle.manifest.variants):
        runtime = open_runtime("cpu", bundle, settings.threads, precision)
        engine = Engine(bundle, runtime, settings, Device(), lambda *_: None)
        engine.check()
        engine.close()
    print(f"{bundle.manifest.id}  sha256 {bundle.sha256}")


def _pull(args: argparse.Namespace) -> None:
    manifest = hub.look_at_bundle(args.names[0], args.revision)
    size = sum(file.size for file in manifest.files.values())
    print(
        f"{manifest.id}: {size / 1e6:.1f} MB, trained on {manifest.source.trained_on}; licence {manifest.licence}"
        f"{restriction(manifest.licence)}",
        file=sys.stderr,
    )
    print(hub.pull_bundle(args.names[0], args.revision).folder)


def _push(args: argparse.Namespace) -> None:
    print(hub.push_bundle(read_bundle(find_bundle(args.names[0])), args.names[1], private=args.private))


ACTIONS = {
    "list": Action(_list, (), "the bundled models, and the published weights that ijepa import knows"),
    "show": Action(_show, ("BUNDLE",), "its model card"),
    "verify": Action(_verify, ("BUNDLE",), "every file's sha256, and the canonical picture's numbers"),
    "pull": Action(_pull, ("ID",), "fetch a bundle from the hub and check it"),
    "push": Action(_push, ("BUNDLE", "ID"), "put a bundle on the hub"),
}
