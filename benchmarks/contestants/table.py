"""The contestants over HTTP: how each is started and asked."""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

CORES = str(os.cpu_count())
UVICORN = "-m uvicorn benchmarks.contestants.{} --host 127.0.0.1 --port {{port}} --log-level warning --no-access-log"
MODULE = "-m benchmarks.contestants.{} {{port}}"
BENTOML = "-m bentoml serve benchmarks.contestants.bentoml_timm:Embed --host 127.0.0.1 --port {port}"
BATCHES = {"BATCH": "16", "BATCH_TIMEOUT": "0.01", "WORKERS": "1"}
BFLOAT16 = {"PRECISION": "bfloat16"}


class Contestant(NamedTuple):
    """A server to measure.

    `arguments` are those of Python; `{port}` is filled in. Images are the body of `POST path`, or the file `field` of a form.
    `environment` is added to the process's own; `graph` is the file of the bundle that it loads, where it uses our engine.
    """

    arguments: str
    path: str
    setting: str
    field: str | None = None
    environment: Mapping[str, str] = MappingProxyType({})
    graph: str | None = None
    ours: bool = False


def openvino(arguments: str, setting: str, precision: str, field: str | None = None, **environment: str) -> Contestant:
    """One of those that use our engine and file."""
    graph = "encoder.int8.onnx" if precision == "int8" else "encoder.onnx"
    path = "/predict" if field == "request" else "/embed"
    return Contestant(arguments, path, setting, field, {"PRECISION": precision, **BATCHES, **environment}, graph)


ONE_PROCESS = "one process, THROUGHPUT hint, thread pool, raw body, orjson"
PROCESSES = f"{CORES} uvicorn workers of one thread, thread pool, raw body, orjson"
WORKERS = UVICORN + f" --workers {CORES}"
LITSERVE = "1 worker, max_batch_size 16, batch_timeout 0.01, fast_queue"
LITSERVE_WORKERS = f"{CORES} workers (its documentation's number on a CPU), otherwise the same"

CONTESTANTS: dict[str, Contestant] = {
    "ours": Contestant(
        "-m ijepa serve --bundle {bundle} --port {port}", "/v1/images/embeddings", "as installed", ours=True
    ),
    "fastapi-timm-float32": Contestant(
        UVICORN.format("fastapi_timm:app"), "/embed", "def endpoint, UploadFile", "file", {"PRECISION": "float32"}
    ),
    "fastapi-timm-bfloat16": Contestant(
        UVICORN.format("fastapi_timm:app"), "/embed", "def endpoint, UploadFile", "file", BFLOAT16
    ),
    "fastapi-timm-async-bfloat16": Contestant(
        UVICORN.format("fastapi_timm:app"),
        "/embed-async",
        "async def endpoint that blocks, UploadFile",
        "file",
        BFLOAT16,
    ),
    "litserve-timm-bfloat16": Contestant(
        MODULE.format("litserve_timm"), "/predict", LITSERVE, "request", BFLOAT16 | BATCHES
    ),
    "litserve-timm-workers-bfloat16": Contestant(
        MODULE.format("litserve_timm"),
        "/predict",
        f"{LITSERVE_WORKERS}, torch's own threads",
        "request",
        BFLOAT16 | BATCHES | {"WORKERS": CORES},
    ),
    "bentoml-timm-bfloat16": Contestant(
        BENTOML, "/embed", "1 worker, adaptive batching, max_batch_size 16", "images", BFLOAT16 | BATCHES
    ),
    "rayserve-timm-bfloat16": Contestant(
        MODULE.format("rayserve_timm"),
        "/embed",
        "1 replica, serve.batch of 16, batch_wait_timeout_s 0.01",
        environment=BFLOAT16 | BATCHES,
    ),
    "fastapi-transformers-bfloat16": Contestant(
        UVICORN.format("fastapi_transformers:app"), "/embed", "def endpoint, pipeline, UploadFile", "file", BFLOAT16
    ),
    "fastapi-openvino-bfloat16": openvino(UVICORN.format("fastapi_openvino:app"), ONE_PROCESS, "bfloat16"),
    "fastapi-openvino-int8": openvino(UVICORN.format("fastapi_openvino:app"), ONE_PROCESS, "int8"),
    "fastapi-openvino-workers-bfloat16": openvino(
        WORKERS.format("fastapi_openvino:app"), PROCESSES, "bfloat16", INFERENCE_NUM_THREADS="1"
    ),
    "fastapi-openvino-workers-int8": openvino(
        WORKERS.format("fastapi_openvino:app"), PROCESSES, "int8", INFERENCE_NUM_THREADS="1"
    ),
    "fastapi-openvino-latency-int8": openvino(
        UVICORN.format("fastapi_openvino:app"),
        ONE_PROCESS.replace("THROUGHPUT", "LATENCY"),
        "int8",
        HINT="LATENCY",
    ),
    "litserve-openvino-bfloat16": openvino(MODULE.format("litserve_openvino"), LITSERVE, "bfloat16", "request"),
    "litserve-openvino-int8": openvino(MODULE.format("litserve_openvino"), LITSERVE, "int8", "request"),
    "litserve-openvino-workers-int8": openvino(
        MODULE.format("litserve_openvino"),
        f"{LITSERVE_WORKERS}, one thread each",
        "int8",
        "request",
        WORKERS=CORES,
        INFERENCE_NUM_THREADS="1",
    ),
}
"""By name; `ours` is the one that the others are compared with."""
