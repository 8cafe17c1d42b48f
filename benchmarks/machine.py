"""The machine and the versions that a result is of."""

import importlib.metadata
import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8", "amx_fp16")
PACKAGES = (
    "ijepa-features", "openvino", "onnxruntime", "numpy", "torch", "timm", "transformers", "fastapi", "uvicorn", "litserve",
    "bentoml", "ray", "fastembed", "pillow",
)  # fmt: skip


def describe_machine(peers_python: str | None) -> dict[str, str]:
    """Processor, cores, instructions, versions, date. The versions of the contestants are those of their interpreter."""
    versions = package_versions()
    if peers_python:
        versions |= peers_versions(peers_python)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": processor_name(cpuinfo()),
        "cores": str(os.cpu_count()),
        "instructions": " ".join(instructions(cpuinfo())),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
    }


def cpuinfo() -> str:
    """Of Linux; empty elsewhere."""
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


def processor_name(info: str) -> str:
    """The model name, with family and model, which tell what a virtual machine's name may hide."""
    fields = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", info, re.MULTILINE))
    if "model name" not in fields:
        return platform.processor() or platform.machine()
    return f"{fields['model name']} (family {fields.get('cpu family')}, model {fields.get('model')})"


def instructions(info: str) -> list[str]:
    """Those that speed up matrix products."""
    match = re.search(r"^flags\s*: (.*)$", info, re.MULTILINE)
    return [flag for flag in FLAGS if match and flag in match[1].split()]


def package_versions() -> dict[str, str]:
    """Of those packages that this interpreter has."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def peers_versions(python: str) -> dict[str, str]:
    """The same of another interpreter."""
    code = "import json, benchmarks.machine as m; print(json.dumps(m.package_versions()))"
    return json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)
