"""`ijepa` is built from three packages with common names. This makes sure that they are ours, whatever else has these names."""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

PACKAGES = ("models", "service", "training")
ROOT = Path(__file__).resolve().parents[1]
COMMAND_NAMES = ("ijepa", "ijepa.exe", "ijepa-script.py")


def load_packages() -> None:
    """Load `models`, `service` and `training` from the folder that `ijepa` is in. They import nothing by themselves.

    The command takes them from there even where other packages with these names come first on the import path. A program that
    imports `ijepa` may want those, so there it is an error. A folder without `__init__.py` is not in the way: where Python
    finds such a folder and a package, it takes the package.

    Raises:
        ImportError: another package with such a name is loaded already or comes first on the import path.
    """
    command = is_command()
    for name in PACKAGES:
        own = ROOT / name / "__init__.py"
        if not own.exists():  # the image of the server has no `training`
            continue
        found = sys.modules[name].__spec__ if name in sys.modules else _find(name)
        other = _file(found)
        if other is not None and other != own and (name in sys.modules or not command):
            raise ImportError(
                f"ijepa needs its own package {name!r} ({own.parent}), but {other} comes first on the import path; "
                f"rename that one, or keep {other.parent.parent} off the path (python -P leaves out the folder of the script, "
                "PYTHONPATH may name others)",
                name=name,
                path=str(other),
            )
        if name not in sys.modules or other is None:
            _load(name, own)


def is_command() -> bool:
    """Whether this process is the command `ijepa` or `python -m ijepa`, or a worker process of it."""
    argv = getattr(sys, "argv", None) or [""]
    if argv[0] == "-m":  # the module that `python -m` names is being located
        target = sys.orig_argv[-len(argv)]
        return target == "ijepa" or (target.startswith("-") and target.endswith("mijepa"))
    program = Path(argv[0])
    return program.name in COMMAND_NAMES or program.resolve().parent == Path(__file__).resolve().parent


def _find(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def _file(spec: ModuleSpec | None) -> Path | None:
    """The file of a package or module; None for a folder without `__init__.py`."""
    return Path(spec.origin).resolve() if spec is not None and spec.origin and spec.has_location else None


def _load(name: str, file: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
