"""FastAPI around our engine and our file. Started with `uvicorn benchmarks.contestants.fastapi_openvino:app`.

The body is the image, decoding and inference run in the thread pool with an inference request a thread, JSON is written by orjson.
OpenVINO's hint is THROUGHPUT, which its documentation names for many requests, or LATENCY with one request an inference (`HINT`).
"""

import os
import threading

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from benchmarks.contestants.openvino_engine import compile_encoder, read_pixels

app = FastAPI()
encoder = compile_encoder(os.environ.get("HINT", "THROUGHPUT"))
of_thread = threading.local()


def infer(body: bytes) -> bytes:
    """One image through the encoder."""
    if not hasattr(of_thread, "request"):
        of_thread.request = encoder.create_infer_request()
    vector = of_thread.request.infer({0: read_pixels(body)[None]}, share_inputs=True)[0][0]
    return orjson.dumps({"embedding": vector}, option=orjson.OPT_SERIALIZE_NUMPY)


@app.post("/embed")
async def embed(request: Request) -> Response:
    """The body of a request is a JPEG."""
    return Response(await run_in_threadpool(infer, await request.body()), media_type="application/json")
