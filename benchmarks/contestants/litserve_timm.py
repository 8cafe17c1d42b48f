"""LitServe around timm, with batches. Started with `python -m benchmarks.contestants.litserve_timm PORT`."""

import os
import sys

import litserve
import timm
import torch
from fastapi import UploadFile
from PIL import Image

PRECISION = getattr(torch, os.environ["PRECISION"])


class EmbedAPI(litserve.LitAPI):
    """Decoding, a batch, the model."""

    def setup(self, device: str) -> None:
        """Load the model in each worker."""
        self.model = timm.create_model(f"local-dir:{os.environ['TIMM_FOLDER']}", pretrained=True)
        self.model = self.model.eval().to(device, PRECISION)
        self.transform = timm.data.create_transform(**timm.data.resolve_model_data_config(self.model))

    def decode_request(self, request: UploadFile) -> torch.Tensor:
        """One image."""
        return self.transform(Image.open(request.file).convert("RGB"))

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """One tensor of all."""
        return torch.stack(inputs).to(PRECISION)

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """The vectors of a batch."""
        with torch.inference_mode():
            return self.model(x).float()

    def encode_response(self, output: torch.Tensor) -> dict[str, list[float]]:
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
