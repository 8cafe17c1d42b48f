"""Ray Serve around timm, with `serve.batch`. Started with `python -m benchmarks.contestants.rayserve_timm PORT`."""

import io
import os
import sys

import timm
import torch
from PIL import Image
from ray import serve
from starlette.requests import Request

PRECISION = getattr(torch, os.environ["PRECISION"])


@serve.deployment(max_ongoing_requests=512, ray_actor_options={"num_cpus": os.cpu_count()})
class Embed:
    """One replica that has all cores: Ray sets the number of threads by `num_cpus`."""

    def __init__(self) -> None:
        self.model = timm.create_model(f"local-dir:{os.environ['TIMM_FOLDER']}", pretrained=True).eval().to(PRECISION)
        self.transform = timm.data.create_transform(**timm.data.resolve_model_data_config(self.model))

    @serve.batch(max_batch_size=int(os.environ["BATCH"]), batch_wait_timeout_s=float(os.environ["BATCH_TIMEOUT"]))
    async def embed(self, bodies: list[bytes]) -> list[list[float]]:
        """The vectors of the images of several requests."""
        images = [self.transform(Image.open(io.BytesIO(body)).convert("RGB")) for body in bodies]
        with torch.inference_mode():
            return self.model(torch.stack(images).to(PRECISION)).float().tolist()

    async def __call__(self, request: Request) -> dict[str, list[float]]:
        """The body of a request is a JPEG."""
        return {"embedding": await self.embed(await request.body())}


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1]), "request_timeout_s": 120})
    serve.run(Embed.bind(), route_prefix="/embed", blocking=True)
