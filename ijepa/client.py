"""The models of a server, with the methods of `ijepa.Model`, over HTTP."""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
import numpy as np
from jaxtyping import Float

from ijepa import requests
from ijepa.images import ImageInput, ImageInputs
from ijepa.regions import RegionInput
from ijepa.requests import MAX_BODY_BYTES, Call, Exchange, Policy, Reply, Wait, advance
from ijepa.results import Energy, Prediction
from models.errors import ConfigError, short_repr
from models.images.preprocess import Fit
from service.operations.base import DType, Output

T = TypeVar("T")


class Client:
    """A server at `url`, for example `http://localhost:8000`; to be closed, or used as a context manager.

    `key` is sent as a bearer token. `timeout` is in seconds for each request. A request is repeated at most `retries` times,
    where the server is overloaded or not ready (after the pause that it asks for, if that is not longer than `timeout`) or the
    connection fails; not after a timeout. `model` is needed where the server has several. Many images become several requests,
    of at most 32 images (8 for patches) and `max_body_bytes`, one after the other; raise that with the server's
    `IJEPA_MAX_BODY_BYTES`.

    Every method raises:
        APIError: the server answered with an error; `code`, `status`, `param` and `request_id` say which.
        APIConnectionError: it did not answer.
        ImageError: one image has more than `max_body_bytes`; it is not sent.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        timeout: float = 60,
        retries: int = 2,
        *,
        model: str | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._policy = _policy(model, timeout, retries, max_body_bytes)
        self._http = httpx2.Client(**_settings(url, key, timeout), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def embed(
        self,
        images: ImageInputs,
        output: Output = "pooled",
        pooling: str | None = None,
        normalize: bool = False,
        dtype: DType = "float32",
        fit: Fit | None = None,
    ) -> Float[np.ndarray, "n *s D"]:
        """Embed one image or any number of them, in order: `[n, D]`, or `[n, gh, gw, D]`; see `Model.embed`.

        Files are sent as they are, PIL images and arrays as lossless WebP or PNG.
        """
        return self._run(requests.embed(self._policy, images, output, pooling, normalize, dtype, fit))

    def predict(
        self,
        image: ImageInput,
        targets: Sequence[RegionInput] | None = None,
        context: RegionInput | None = None,
        *,
        boxes: Sequence[Sequence[float]] | np.ndarray | None = None,
        fit: Fit | None = None,
    ) -> Prediction:
        """Predict hidden regions of an image; see `Model.predict`."""
        return self._run(requests.predict(self._policy, image, targets, context, boxes, fit))

    def energy(self, image: ImageInput, masks: int | None = None, seed: int = 0, *, fit: Fit | None = None) -> Energy:
        """How surprising each patch is; see `Model.energy`. A server without `/v1/energy` is an `APIError` with status 404."""
        return self._run(requests.energy(self._policy, image, masks, seed, fit))

    def _run(self, exchange: Exchange[T]) -> T:
        step = advance(exchange, None)
        while isinstance(step, Call | Wait):
            step = advance(exchange, self._do(step))
        return step[0]

    def _do(self, step: Call | Wait) -> Reply:
        if isinstance(step, Wait):
            time.sleep(step.seconds)
            return None
        try:
            return self._http.post(step.path, files=step.form(), headers={"accept": step.accept})
        except httpx2.TransportError as error:
            return error


class AsyncClient:
    """`Client` with coroutines, for asyncio. Images are read and encoded on another thread, one request after the other.

    Several calls may run at the same time.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        timeout: float = 60,
        retries: int = 2,
        *,
        model: str | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._policy = _policy(model, timeout, retries, max_body_bytes)
        self._http = httpx2.AsyncClient(**_settings(url, key, timeout), transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def embed(
        self,
        images: ImageInputs,
        output: Output = "pooled",
        pooling: str | None = None,
        normalize: bool = False,
        dtype: DType = "float32",
        fit: Fit | None = None,
    ) -> Float[np.ndarray, "n *s D"]:
        """See `Client.embed`."""
        return await self._run(requests.embed(self._policy, images, output, pooling, normalize, dtype, fit))

    async def predict(
        self,
        image: ImageInput,
        targets: Sequence[RegionInput] | None = None,
        context: RegionInput | None = None,
        *,
        boxes: Sequence[Sequence[float]] | np.ndarray | None = None,
        fit: Fit | None = None,
    ) -> Prediction:
        """See `Client.predict`."""
        return await self._run(requests.predict(self._policy, image, targets, context, boxes, fit))

    async def energy(
        self, image: ImageInput, masks: int | None = None, seed: int = 0, *, fit: Fit | None = None
    ) -> Energy:
        """See `Client.energy`."""
        return await self._run(requests.energy(self._policy, image, masks, seed, fit))

    async def _run(self, exchange: Exchange[T]) -> T:
        step = await asyncio.to_thread(advance, exchange, None)
        while isinstance(step, Call | Wait):
            step = await asyncio.to_thread(advance, exchange, await self._do(step))
        return step[0]

    async def _do(self, step: Call | Wait) -> Reply:
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return await self._http.post(step.path, files=step.form(), headers={"accept": step.accept})
        except httpx2.TransportError as error:
            return error


def _policy(model: str | None, timeout: float, retries: int, max_body_bytes: int) -> Policy:
    if max_body_bytes < 1:
        raise ConfigError(f"max_body_bytes is {max_body_bytes}, expected at least 1")
    if timeout <= 0 or retries < 0:
        raise ConfigError(
            f"timeout is {timeout} and retries {retries}; expected more than 0 seconds and at least 0 retries"
        )
    return Policy(model, timeout, retries, max_body_bytes)


def _settings(url: str, key: str | None, timeout: float) -> dict[str, Any]:
    """What both of httpx2's clients are made with.

    Raises:
        ConfigError: the address is not one of a server.
    """
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ConfigError(f"url is {short_repr(url)}, expected the address of a server, like http://localhost:8000")
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return {"base_url": url, "timeout": timeout, "headers": headers}
