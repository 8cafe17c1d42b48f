"""One engine alone, on preprocessed pixels: `python -m benchmarks.engines WAY --bundle DIR --timm DIR --photographs DIR` prints JSON.

A way is `RUNTIME:PRECISION` of ours (`auto:auto` is what a server takes), `torch:PRECISION`, `compiled:PRECISION` (torch.compile),
`gemm` (the matrix products that this machine reaches in torch, GFLOP/s), `decode` (files to pixels on one thread) or `reference` (the
mean poolings of the first photographs by torch in float32, which the answers of servers are compared with).
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from models.bundle.reader import Bundle, find_bundle, read_bundle
from models.config import EncoderConfig
from models.images.preprocess import read_pixels
from models.runtimes.select import open_runtime

BATCHES = (1, 8, 32)
GEMM_SIDE = 2048
N_REFERENCE = 16
Infer = Callable[[UInt8[np.ndarray, "B H W C"]], Float32[np.ndarray, "B D"]]


class Inputs(NamedTuple):
    """What every way is measured on."""

    bundle: Bundle
    timm: Path
    files: list[bytes]
    pixels: UInt8[np.ndarray, "N H W C"]
    seconds: float


def gflop_of(encoder: EncoderConfig) -> float:
    """GFLOP of one image: matrix products alone, a multiplication and an addition are 2."""
    n, d = encoder.patches, encoder.width
    block = 2 * n * (4 * d * d + 2 * d * encoder.hidden) + 4 * n * n * d
    return (encoder.depth * block + 2 * n * encoder.patch_size**2 * encoder.channels * d) / 1e9


def rate_of(run: Callable[[], object], items: int, seconds: float) -> float:
    """Items a second, after one run that is not counted."""
    run()
    start, runs = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < seconds or not runs:
        run()
        runs += 1
    return items * runs / spent


def our_engine(inputs: Inputs, runtime_name: str, precision: str) -> tuple[Infer, str]:
    """A runtime of ours, and what it says that it is."""
    runtime = open_runtime(runtime_name, inputs.bundle, 0, precision)
    return lambda pixels: runtime.encode(pixels, ["mean"])["mean"], f"{runtime.name}, {runtime.precision}"


def torch_engine(inputs: Inputs, precision: str, compiled: bool) -> tuple[Infer, str]:
    """Timm's network with the same weights."""
    import timm
    import torch

    model = timm.create_model(f"local-dir:{inputs.timm}", pretrained=True).eval()
    preprocessing, dtype = inputs.bundle.manifest.model.pixels, getattr(torch, precision)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    network = torch.compile(model.to(dtype)) if compiled else model.to(dtype)

    def infer(pixels: UInt8[np.ndarray, "B H W C"]) -> Float32[np.ndarray, "B D"]:
        with torch.inference_mode():
            images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
            return network(((images - mean) / std).to(dtype)).float().numpy()

    return infer, f"torch {torch.__version__}, {precision}{', compiled' if compiled else ''}"


def measure_engine(inputs: Inputs, infer: Infer, what: str) -> dict[str, Any]:
    """Images a second by batch size."""
    rates = {}
    for batch in BATCHES:
        pixels = np.ascontiguousarray(np.resize(inputs.pixels, (batch, *inputs.pixels.shape[1:])))
        rates[str(batch)] = rate_of(partial(infer, pixels), len(pixels), inputs.seconds)
    return {"what": what, "rates": rates}


def measure_gemm(seconds: float) -> dict[str, float]:
    """GFLOP/s of a product of two square matrices in torch, by type. A type that torch does not multiply here is left out."""
    import torch

    left, right = torch.randn(2, GEMM_SIDE, GEMM_SIDE).unbind()
    half_left, half_right = left.bfloat16(), right.bfloat16()
    whole_left, whole_right = (torch.randint(-127, 127, left.shape, dtype=torch.int8) for _ in range(2))
    products = {
        "float32": lambda: left @ right,
        "bfloat16": lambda: half_left @ half_right,
        "int8": lambda: torch._int_mm(whole_left, whole_right),
    }
    rates = {}
    for name, product in products.items():
        try:
            rates[name] = rate_of(product, 1, seconds) * 2 * GEMM_SIDE**3 / 1e9
        except (RuntimeError, NotImplementedError):
            continue
    return rates


def measure_decode(inputs: Inputs) -> dict[str, float]:
    """Photographs a second that one thread decodes and resizes."""
    preprocessing = inputs.bundle.manifest.model.pixels

    def all_files() -> None:
        for data in inputs.files:
            read_pixels(data, preprocessing)

    return {"rate": rate_of(all_files, len(inputs.files), inputs.seconds)}


def measure(way: str, inputs: Inputs) -> dict[str, Any]:
    """See the module."""
    if way == "gemm":
        return measure_gemm(inputs.seconds)
    if way == "decode":
        return measure_decode(inputs)
    if way == "reference":
        infer, _ = torch_engine(inputs, "float32", compiled=False)
        return {"vectors": infer(inputs.pixels[:N_REFERENCE]).tolist()}
    library, _, precision = way.partition(":")
    if library in ("torch", "compiled"):
        return measure_engine(inputs, *torch_engine(inputs, precision, library == "compiled"))
    return measure_engine(inputs, *our_engine(inputs, library, precision))


def read_inputs(bundle_name: str, timm: Path, photographs: Path, seconds: float) -> Inputs:
    """The bundle, the files and their pixels."""
    bundle = read_bundle(find_bundle(bundle_name))
    files = [path.read_bytes() for path in sorted(photographs.glob("*.jpg"))[: max(BATCHES)]]
    pixels = np.stack([read_pixels(data, bundle.manifest.model.pixels)[0] for data in files])
    return Inputs(bundle, timm, files, pixels, seconds)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure one way and print JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way")
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--timm", type=Path, required=True, help="what 'ijepa export --to timm' wrote")
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=2, help="of each batch size")
    args = parser.parse_args(argv)
    inputs = read_inputs(args.bundle, args.timm, args.photographs, args.seconds)
    print(json.dumps(measure(args.way, inputs)))


if __name__ == "__main__":
    main()
