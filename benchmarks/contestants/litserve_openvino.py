"""LitServe around our engine and our file, with batches. Started with `python -m benchmarks.contestants.litserve_openvino PORT`."""

import os
import sys

import litserve
import numpy as np
from fastapi import UploadFile

from benchmarks.contestants.openvino_engine import compile_encoder, read_pixels


class EmbedAPI(litserve.LitAPI):
    """Decoding, a batch, the encoder."""

    def setup(self, device: str) -> None:
        """Compile the encoder in each worker; LitServe's worker makes one inference at a time."""
        del device
        self.request = compile_encoder("LATENCY").create_infer_request()

    def decode_request(self, request: UploadFile) -> np.ndarray:
        """One image."""
        return read_pixels(request.file.read())

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        """One array of all."""
        return np.stack(inputs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The vectors of a batch."""
        return self.request.infer({0: x}, share_inputs=True)[0]

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        """Rows."""
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, list[float]]:
        """One vector."""
        return {"embedding": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(
        EmbedAPI(max_batch_size=int(os.environ["BATCH"]), batch_timeout=float(os.environ["BATCH_TIMEOUT"])),
        accelerator="cpu",
        workers_per_device=int(os.environ["WORKERS"]),
        timeout=120,
        fast_queue=True,
    )
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
