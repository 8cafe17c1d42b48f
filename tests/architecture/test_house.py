"""The tree is the one that docs/architecture.md shows: a folder has one meaning, and a file one reason to change."""

import ast
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("ijepa", "models", "service", "training")
TOP_LEVEL = {
    ".ci", "benchmarks", "docker", "docs", "ijepa", "models", "service", "tests", "training",
    ".dockerignore", ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile",
    "README.md", "SECURITY.md", "constraints.txt", "pyproject.toml",
}  # fmt: skip
FOLDERS = {
    "models": {"images", "bundle", "runtimes", "inference", "network", "checkpoint", "importers", "export", "zoo"},
    "service": {"operations", "api", "decoding", "jobs", "bench", "web", "commands"},
    "training": {"objectives", "masking", "data", "loggers", "evaluation", "commands"},
    "ijepa": set(),
    "docs": {"decisions", "experiments", "examples"},
}
MAX_LINES = 300
LONGER: dict[str, str] = {}
"""Files that may be longer than `MAX_LINES`, with the decision (docs/decisions/NNNN-...) that says why."""
CATCH_ALL_NAMES = ("utils", "util", "helpers", "common", "misc")

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")


def files(*patterns: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split() if (ROOT / name).exists()]


def test_the_top_level_is_the_one_of_the_plan():
    assert {name.split("/")[0] for name in files()} == TOP_LEVEL


@pytest.mark.parametrize("top", FOLDERS)
def test_the_folders_are_those_of_the_plan(top):
    assert {name.split("/")[1] for name in files(f"{top}/*") if name.count("/") > 1} == FOLDERS[top]


@pytest.mark.parametrize("name", [name for name in files("*.py") if not name.startswith("docs/")])
def test_a_file_is_short(name):
    if name in LONGER:
        assert list((ROOT / "docs" / "decisions").glob(f"{LONGER[name]}-*.md")), f"{name}: no decision {LONGER[name]}"
    else:
        lines = len((ROOT / name).read_text().splitlines())
        assert lines <= MAX_LINES, (
            f"{name} has {lines} lines, {MAX_LINES} are allowed: it holds more than one reason to change"
        )


def test_no_file_collects_what_has_no_place():
    for name in files(*(f"{package}/*.py" for package in (*PACKAGES, "benchmarks"))):
        assert Path(name).stem not in CATCH_ALL_NAMES, name


def test_every_folder_with_code_is_a_package_whose_init_file_imports_nothing():
    for name in files(*(f"{package}/*.py" for package in PACKAGES)):
        init = ROOT / Path(name).parent / "__init__.py"
        assert init.exists(), f"{Path(name).parent} has no __init__.py"
        if init == ROOT / "ijepa" / "__init__.py":
            continue
        imports = [
            node for node in ast.walk(ast.parse(init.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        assert not imports, f"{init.relative_to(ROOT)} imports something"


def test_every_module_is_tested_in_the_folder_of_its_package():
    """`tests` mirrors the tree: a folder of tests is a folder of code, or one of those that hold tests of a whole."""
    whole = {"architecture", "golden", "journeys", "docker", "benchmarks", "hostile", "ijepa"}
    for folder in {Path(name).parent.relative_to("tests") for name in files("tests/*.py")}:
        if folder.parts and folder.parts[0] not in whole:
            assert (ROOT / folder).is_dir(), f"tests/{folder} mirrors nothing"


def test_every_folder_of_tests_is_a_package():
    """Without, `tests/models` would hide the real `models`."""
    for folder in {Path(name).parent for name in files("tests/*.py")}:
        assert (ROOT / folder / "__init__.py").exists(), folder


def test_every_marker_marks_something():
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    tests = "\n".join((ROOT / name).read_text() for name in files("tests/*.py"))
    for marker in configured:
        name = marker.split(":")[0]
        assert f"pytest.mark.{name}" in tests, f"no test has the marker {name}"


def test_the_linter_of_imports_names_folders():
    """A contract that lists files one by one is a second list of what the tree says."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    for contract in linter["contracts"]:
        for module in [*contract.get("source_modules", []), *contract.get("modules", [])]:
            path = ROOT / module.replace("*", "_").replace(".", "/")
            assert path.is_dir() or path.with_suffix(".py").exists() or "*" in module, module
