"""Answer HTTP requests with one or more bundles.

Every option is also an environment variable: IJEPA_PORT, IJEPA_BUNDLE (several with commas), and those of docs/operations.md.
"""

import argparse
import sys

from models.bundle.published import restriction
from models.errors import BundleError
from models.runtimes.table import RUNTIME_NAMES
from models.terminal import printable, progress_bars
from service.app import create_app
from service.decoding.memory import return_memory
from service.logs import start_log
from service.registry import LoadedModel
from service.server import address_of, listen, make_server
from service.settings import read_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--bundle", action="append", metavar="NAME|DIR", help="a bundle's name or folder; may be repeated"
    )
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (8000)")
    parser.add_argument(
        "--runtime", help=f"{', '.join(RUNTIME_NAMES)}; the first three are the fastest of their devices (auto)"
    )
    parser.add_argument("--precision", help="auto, float32, or another that the bundle has (auto)")


def run(args: argparse.Namespace) -> None:
    """Serve until told to stop."""
    settings = read_settings(
        bundle=tuple(args.bundle) if args.bundle else None,
        host=args.host,
        port=args.port,
        runtime=args.runtime,
        precision=args.precision,
    )
    return_memory()
    listener = listen(settings)
    app = create_app(settings, progress_bars)
    registry = app.state.service.registry
    start_log()
    server = make_server(app, registry, settings)
    for model in registry.models.values():
        print(printable(introduction(model)), file=sys.stderr)
    address = address_of(listener)
    print(f"try it at / and /docs, stop it with Ctrl-C; listening on {address}", file=sys.stderr, flush=True)
    server.run(sockets=[listener])
    if server.failure is not None:
        raise BundleError(server.failure)


def introduction(model: LoadedModel) -> str:
    """What is served, and how it runs here."""
    manifest = model.manifest
    return (
        f"{manifest.id}: trained on {manifest.source.trained_on}; licence {manifest.licence}"
        f"{restriction(manifest.licence)}. Another model: --bundle DIR\n{manifest.id}: runs on {model.choice.sentence()}"
    )
