"""`import ijepa` is light, and is never given another package's `models`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "timm", "onnx", "onnxruntime", "httpx2", "PIL", "numpy", "pydantic", "fastapi")


def python(*arguments, cwd, path=()):
    """Run Python, with this checkout at the end of the import path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*path, ROOT]))}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


def make_package(folder: Path, name: str) -> Path:
    """A package that must not be run."""
    package = folder / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"raise SystemExit('the wrong {name} was imported')\n")
    return package


@pytest.fixture
def elsewhere(tmp_path) -> Path:
    """A folder with packages of all our names."""
    for name in ("models", "service", "training"):
        make_package(tmp_path, name)
    return tmp_path


def test_importing_loads_nothing_heavy(tmp_path):
    code = f"import sys, ijepa; print([name for name in {HEAVY} if name in sys.modules])"
    assert python("-c", code, cwd=tmp_path).stdout == "[]\n"


def test_embedding_and_the_client_need_no_torch(tmp_path, golden):
    example = str(next((ROOT / "docs" / "examples").glob("*.*")))
    code = (
        "import sys; sys.modules['torch'] = None; import ijepa; ijepa.Client('http://localhost').close(); "
        f"print(ijepa.load({str(golden)!r}, runtime='cpu').embed({example!r}).shape)"
    )
    result = python("-c", code, cwd=tmp_path)
    assert result.stdout == "(1, 32)\n", result.stderr


def test_every_public_name_is_there(tmp_path):
    import ijepa

    assert all(getattr(ijepa, name) is not None for name in ijepa.__all__)
    assert set(ijepa.__all__) <= set(dir(ijepa))
    assert isinstance(ijepa.__version__, str)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ijepa.nothing  # noqa: B018


def test_the_names_that_type_checkers_see_are_the_names_at_run_time():
    import ast

    import ijepa

    tree = ast.parse((ROOT / "ijepa" / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {name.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert typed == {"errors": "ijepa", **ijepa._MODULES}
    assert set(typed) == set(ijepa.__all__)


@pytest.mark.parametrize(("name", "how"), [("models", "folder"), ("service", "folder"), ("training", "PYTHONPATH")])
def test_another_package_with_our_name_is_one_sentence(tmp_path, name, how):
    foreign = make_package(tmp_path, name)
    script = (tmp_path if how == "folder" else tmp_path / "scripts") / "script.py"
    script.parent.mkdir(exist_ok=True)
    script.write_text("import ijepa\n")
    result = python(script, cwd=script.parent, path=[tmp_path] if how == "PYTHONPATH" else [])
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: ijepa needs its own package '{name}'")
    assert str(foreign / "__init__.py") in last
    assert "rename that one" in last


def test_another_package_that_is_loaded_already_is_the_same_error(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import models; sys.path.pop(0); import ijepa"
    result = python("-c", code, cwd=ROOT.parent)
    assert "ImportError: ijepa needs its own package 'models'" in result.stderr


def test_a_module_file_with_our_name_is_the_same_error(tmp_path):
    (tmp_path / "models.py").write_text("raise SystemExit('the wrong models was imported')\n")
    result = python("-c", "import ijepa", cwd=tmp_path)
    assert "ImportError: ijepa needs its own package 'models'" in result.stderr


def test_a_folder_without_code_is_not_in_the_way(tmp_path, golden):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "weights.bin").write_bytes(b"x")
    code = f"import ijepa; print(ijepa.load({str(golden)!r}, runtime='cpu').grid)"
    result = python("-c", code, cwd=tmp_path)
    assert result.stdout == "(4, 4)\n", result.stderr


@pytest.mark.parametrize("options", [("-m", "ijepa"), ("-Bmijepa",)])
def test_the_module_as_a_command_is_immune(elsewhere, golden, options):
    result = python(*options, "models", "verify", str(golden), cwd=elsewhere, path=[elsewhere])
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["ijepa", "ijepa.exe"])
def test_the_installed_command_is_immune(elsewhere, golden, name):
    command = elsewhere / "bin" / name
    command.parent.mkdir()
    command.write_text("import sys\nfrom ijepa.cli import main\nsys.exit(main())\n")
    result = python(command, "models", "verify", str(golden), cwd=elsewhere, path=[elsewhere])
    assert result.returncode == 0, result.stderr


def test_worker_processes_of_the_command_are_immune(elsewhere):
    """A spawned process imports the main module again, in the folder of its parent."""
    command = elsewhere / "ijepa"
    command.write_text(
        "import multiprocessing, sys\nimport ijepa\nfrom models.errors import short_repr\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.apply(short_repr, (5,)))\n"
    )
    assert python(command, cwd=elsewhere, path=[elsewhere]).stdout == "5\n"


def test_an_installation_without_training_serves(tmp_path):
    """As in the image of the server, where the folder is left out."""
    import shutil

    for name in ("ijepa", "models", "service"):
        shutil.copytree(ROOT / name, tmp_path / "site" / name, ignore=shutil.ignore_patterns("zoo", "__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-m", "ijepa", "models", "list"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
