"""The Dockerfiles: what they copy exists, and (slowly, where buildah or docker can build) they make images that work.

`DOCKER_TEST_BASE` names another base image than the Dockerfiles' own, `DOCKER_BUILD_OPTIONS` adds options to `buildah bud` or
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


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.name)
def inside(request):
    """Runs a shell script in a container of each image, made for the test and deleted after it."""
    if BUILDER is None:
        pytest.skip("neither buildah nor docker is installed")
    if subprocess.run([BUILDER, "info"], capture_output=True, check=False).returncode:
        pytest.skip(f"{BUILDER} cannot work here: no daemon, or no rights")
    buildah, name = BUILDER.endswith("buildah"), f"ijepa-test-{request.param.stem.lower()}"
    options = shlex.split(os.environ.get("DOCKER_BUILD_OPTIONS", ""))
    base = os.environ.get("DOCKER_TEST_BASE")
    verb = ["bud", "--format", "docker"] if buildah else ["build"]
    build = [BUILDER, *verb, *options, *(["--build-arg", f"BASE={base}"] if base else []), "-f", request.param]
    subprocess.run([*build, "-t", name, ROOT], check=True)
    if buildah:
        container = subprocess.run([BUILDER, "from", name], check=True, capture_output=True, text=True).stdout.strip()
        isolation = [option for option in options if option.startswith("--isolation=")]
        run = [BUILDER, "run", *isolation, container, "--"]
    else:
        run = [BUILDER, "run", "--rm", "--entrypoint", "", name]

    def script(text: str) -> str:
        return subprocess.run([*run, "sh", "-c", text], check=True, capture_output=True, text=True).stdout

    yield request.param, script
    if buildah:
        subprocess.run([BUILDER, "rm", container], check=False, capture_output=True)
    subprocess.run([BUILDER, "rmi", name], check=False, capture_output=True)


@pytest.mark.slow
def test_an_image_does_its_main_job_as_a_user_without_rights(inside):
    path, script = inside
    assert script("id -u") == "10001\n"
    if path.name.startswith("training"):
        assert script("ijepa train debug --out /tmp/run run.compile=true").strip() == "/tmp/run/step-00000060"
        return
    (check,) = re.findall(r"CMD \[\"python\", \"-c\", \"(.*)\"\]", path.read_text())
    said = script(f"""
        export IJEPA_PORT=8765
        ijepa serve & server=$!
        for _ in $(seq 60); do python -c "{check}" 2>/dev/null && break; sleep 1; done
        python -c "{check}" && echo healthy
        kill $server; wait $server; echo left $?
        python -c "{check}" 2>/dev/null || echo unhealthy
        python -c 'import torch' 2>/dev/null || echo no torch
    """)
    assert said.split("\n") == ["healthy", "left 0", "unhealthy", "no torch", ""]


@pytest.mark.slow
def test_asking_for_cuda_where_there_is_none_is_the_documented_error(tmp_path):
    if shutil.which("nvidia-smi") and not subprocess.run(["nvidia-smi"], capture_output=True, check=False).returncode:
        pytest.skip("this machine has CUDA")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    install = [tmp_path / "env/bin/pip", "install", "-q", "-c", ROOT / "constraints.txt", "-e", ROOT, "onnxruntime-gpu"]
    if subprocess.run(install, check=False).returncode:
        pytest.skip("onnxruntime-gpu cannot be installed here")
    for runtime in ("gpu", "auto"):
        command = [tmp_path / "env/bin/ijepa", "serve", "--runtime", runtime, "--port", "0"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 1
        assert re.search(r"ijepa serve: CUDAExecutionProvider was asked for, but .* --runtime cpu", result.stderr)
    assert "`CUDAExecutionProvider was asked for, but`" in " ".join(
        (ROOT / "docs" / "operations.md").read_text().split()
    )
