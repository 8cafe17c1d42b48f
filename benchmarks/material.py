"""What the benchmarks work on: photographs and the same weights in the layouts that the contestants load; the engines on them."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.engines import gflop_of
from benchmarks.photographs import write_photographs
from models.bundle.reader import find_bundle, read_bundle

FORMATS = ("timm", "transformers")
WAYS = (
    "auto:auto", "openvino:float32", "openvino:bfloat16", "openvino:int8", "onnxruntime:float32", "onnxruntime:int8",
    "torch:float32", "torch:bfloat16", "compiled:bfloat16",
)  # fmt: skip
"""The engines that are measured alone."""
TIMEOUT_S = 600


class Material(NamedTuple):
    """What a benchmark works on."""

    bundle: Path
    folders: dict[str, Path]
    """By format: what `ijepa export --to` wrote."""
    photographs: list[Path]
    encoder: dict[str, Any]
    """Name of the bundle, and GFLOP and pixels of an image."""
    environment: dict[str, str]
    """What the contestants read to find the model and its preprocessing."""


def prepare(bundle_name: str, checkpoint: Path, images: Path, count: int, work: Path) -> Material:
    """Write photographs and weights into `work`."""
    bundle = read_bundle(find_bundle(bundle_name))
    pixels = bundle.manifest.model.pixels
    if pixels.channels != 3 or pixels.fit != "crop" or pixels.size[0] != pixels.size[1]:
        raise SystemExit(f"the contestants take the centre of colour images as a square, {bundle.manifest.id} does not")
    folders = {}
    for name in FORMATS:
        folders[name] = work / name
        command = ["-m", "ijepa", "export", str(checkpoint), "--to", name, "--out", str(folders[name])]
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    environment = {
        "TIMM_FOLDER": str(folders["timm"]),
        "TRANSFORMERS_FOLDER": str(folders["transformers"]),
        "IMAGE_SIZE": str(pixels.size[0]),
        "CROP": str(pixels.crop),
        "INTERPOLATION": pixels.interpolation,
    }
    encoder = {"bundle": bundle.manifest.id, "gflop": gflop_of(bundle.manifest.model.encoder), "size": pixels.size}
    photographs = write_photographs(images, work / "photographs", count)
    return Material(bundle.folder, folders, photographs, encoder, environment)


def run_engine(way: str, material: Material, seconds: float = 2) -> dict[str, Any]:
    """Measure one way in a process of its own; `{"skipped": reason}` where it fails."""
    command = [sys.executable, "-m", "benchmarks.engines", way, "--bundle", str(material.bundle)]
    options = ["--timm", str(material.folders["timm"]), "--photographs", str(material.photographs[0].parent)]
    try:
        done = subprocess.run(
            [*command, *options, f"--seconds={seconds}"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {"skipped": f"took more than {TIMEOUT_S} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"code {done.returncode}"]
        return {"skipped": lines[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def describe_progress(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)


def names_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """A type for argparse: names with commas, all of them known."""

    def read(text: str) -> list[str]:
        names = text.split(",") if text else []
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return names

    return read
