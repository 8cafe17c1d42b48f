"""The Dockerfiles: what they copy exists, and (slowly, where buildah or docker can build) they make images that work.

`IJEPA_TEST_BASE` names another base image than the Dockerfiles' own, `IJEPA_BUILD_OPTIONS` adds options to `buildah bud` or
`docker build`. Asking for CUDA on a machine without it needs no image, only the package: that test makes an environment.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
BUILDER = shutil.which("buildah") or shutil.which("docker")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_a_dockerfile_copies_is_let_through_and_there(path):
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    for line in re.findall(r"^COPY (?!--from)(.+)$", path.read_text(), re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in ignored, source


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_runs_as_a_user_without_rights_from_any_base(path):
    text = path.read_text()
    assert re.findall(r"^USER (\d+)$", text, re.MULTILINE) == ["10001"]
    assert re.search(r"^ARG BASE=", text, re.MULTILINE)
    assert "PYTHONSAFEPATH=1" in text


def test_compose_builds_both():
    """By text: the file is for a program that is not among the tests' needs."""
    text = (ROOT / "docker" / "compose.yaml").read_text()
    assert set(re.findall(r"dockerfile: docker/(\S+)", text)) == {path.name for path in DOCKERFILES}


@pytest.mark.slow
@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_it_builds_and_the_command_answers(path):
    if BUILDER is None:
        pytest.skip("neither buildah nor docker is installed")
    if subprocess.run([BUILDER, "info"], capture_output=True, check=False).returncode:
        pytest.skip(f"{BUILDER} cannot work here: no daemon, or no rights")
    name, base = f"ijepa-test-{path.stem.lower()}", os.environ.get("IJEPA_TEST_BASE")
    options = shlex.split(os.environ.get("IJEPA_BUILD_OPTIONS", ""))
    arguments = ["--build-arg", f"BASE={base}"] if base else []
    verb = ["bud", "--format", "docker"] if BUILDER.endswith("buildah") else ["build"]
    subprocess.run([BUILDER, *verb, *options, *arguments, "-f", path, "-t", name, ROOT], check=True)
    if BUILDER.endswith("buildah"):
        container = subprocess.run([BUILDER, "from", name], check=True, capture_output=True, text=True).stdout.strip()
        run = [BUILDER, "run", *[option for option in options if "isolation" in option], container, "--"]
    else:
        run = [BUILDER, "run", "--rm", "--entrypoint", "", name]
    try:
        said = subprocess.run(
            [*run, "sh", "-c", "id -u; ijepa --help"], check=True, capture_output=True, text=True
        ).stdout
    finally:
        if BUILDER.endswith("buildah"):
            subprocess.run([BUILDER, "rm", container], check=False, capture_output=True)
    assert said.startswith("10001\n")
    assert "ijepa VERB" in said


@pytest.mark.slow
def test_asking_for_cuda_where_there_is_none_is_the_documented_error(tmp_path):
    if shutil.which("nvidia-smi") and not subprocess.run(["nvidia-smi"], capture_output=True, check=False).returncode:
        pytest.skip("this machine has CUDA")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    install = [tmp_path / "env/bin/pip", "install", "-q", "-c", ROOT / "constraints.txt", "-e", ROOT, "onnxruntime-gpu"]
    subprocess.run(install, check=True)
    for runtime in ("gpu", "auto"):
        command = [tmp_path / "env/bin/ijepa", "serve", "--runtime", runtime, "--port", "0"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 1
        assert re.search(r"ijepa serve: CUDAExecutionProvider was asked for, but .* --runtime cpu", result.stderr)
    api = " ".join((ROOT / "docs" / "api.md").read_text().split())
    assert "`CUDAExecutionProvider was asked for, but`" in api
