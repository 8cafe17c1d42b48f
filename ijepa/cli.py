"""The command `ijepa`: one verb a line, each imported only when it is used."""

import argparse
import importlib
import logging
import os
import sys
from typing import NamedTuple, Protocol

from ijepa.interrupt import stop_notice
from ijepa.packages import PACKAGES
from ijepa.version import version
from models.errors import ConfigError, IJEPAError, UsageError
from models.terminal import PrintableFormatter, printable

DONE, FAILED, USAGE, PREEMPTED, INTERRUPTED = 0, 1, 2, 75, 130


class Verb(NamedTuple):
    """A verb's module, a summary in a few words, and an example that works in a fresh clone."""

    module: str
    summary: str
    example: str


VERBS = {
    "serve": Verb("service.commands.serve", "serve bundles over HTTP", "ijepa serve --port 8000"),
    "embed": Verb(
        "service.commands.embed", "embed many images into files", "ijepa embed docs/examples --out /tmp/embeddings"
    ),
    "bench": Verb(
        "service.commands.bench", "measure a bundle on this machine", "ijepa bench fashion-mnist-nano --seconds 2"
    ),
    "train": Verb("training.commands.train", "train a network", "ijepa train debug --out /tmp/debug-run"),
    "probe": Verb(
        "training.commands.probe", "evaluate frozen features", "ijepa probe fashion-mnist-nano --data fashion-mnist"
    ),
    "models": Verb("service.commands.models", "list, show, verify, pull and push bundles", "ijepa models list"),
    "export": Verb(
        "training.commands.export",
        "export a checkpoint as a bundle",
        "ijepa train debug --out /tmp/debug-run && ijepa export /tmp/debug-run --out /tmp/debug-bundle",
    ),
    "calibrate": Verb(
        "training.commands.calibrate",
        "measure the usual energies over images",
        "ijepa calibrate fashion-mnist-nano --data docs/examples --out /tmp/calibrated",
    ),
    "import": Verb(
        "training.commands.import_weights",
        "import published weights as a checkpoint",
        "ijepa train debug --out /tmp/debug-run && ijepa export /tmp/debug-run --to transformers --out /tmp/theirs "
        "&& ijepa import /tmp/theirs --out /tmp/ours",
    ),
}


class Command(Protocol):
    """What a verb's module has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's arguments."""
        ...

    def run(self, args: argparse.Namespace) -> int | None:
        """Do the work; the exit code, or None for 0."""
        ...


def main(argv: list[str] | None = None) -> int:
    """Run one verb. 0 done, 1 failed, 2 wrong usage, 75 preempted and saved, 130 interrupted."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return DONE if arguments else USAGE
    name = arguments[0]
    if name == "--version":
        print(f"ijepa {version()}")
        return DONE
    if name not in VERBS:
        print(f"ijepa: unknown command {name!r}\n\n{overview()}", file=sys.stderr)
        return USAGE
    log = logging.StreamHandler(sys.stderr)
    log.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[log])
    try:
        with stop_notice(f"ijepa {name}"):
            return run_verb(name, arguments[1:])
    except IJEPAError as error:
        print(printable(f"ijepa {name}: {error}"), file=sys.stderr)
        return USAGE if isinstance(error, UsageError) else FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        print(printable(f"ijepa {name}: {error.filename or 'the system'}: {error.strerror or error}"), file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"ijepa {name}: interrupted; what was done is kept", file=sys.stderr)
        return INTERRUPTED


def run_verb(name: str, arguments: list[str]) -> int:
    """Import a verb's module, parse its arguments, run it."""
    from models.images.decode import configure_pillow

    configure_pillow()
    command = load_command(name)
    return command.run(make_parser(name, command).parse_intermixed_args(arguments)) or DONE


def load_command(name: str) -> Command:
    """A verb's module.

    Raises:
        ConfigError: it needs a package that is not installed; the message says how to install it.
    """
    try:
        module: Command = importlib.import_module(VERBS[name].module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in PACKAGES:
            raise
        raise ConfigError(
            f"the package {error.name} is not installed; in a clone run 'make dev', "
            "elsewhere pip install 'ijepa-features[cpu,train]' (serving and embedding need [cpu] alone)"
        ) from error
    return module


def make_parser(name: str, command: Command) -> argparse.ArgumentParser:
    """The parser of a verb."""
    verb = VERBS[name]
    parser = argparse.ArgumentParser(
        prog=f"ijepa {name}",
        description=(sys.modules[verb.module].__doc__ or verb.summary).strip(),
        epilog=f"example:\n  {verb.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    return parser


def overview() -> str:
    """All verbs, one a line."""
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items()]
    usage = "usage: ijepa COMMAND ...\n       ijepa --version"
    return "\n".join([usage, "", *lines, "", "ijepa COMMAND --help describes one of them."])
