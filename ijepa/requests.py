"""The requests of a client, without sending anything: `Client` and `AsyncClient` drive these exchanges.

An exchange is a generator. It yields a `Call`, which the driver sends and answers with the response or the transport's error,
or a `Wait`, which the driver answers with None after the pause. It returns the result.
"""

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import httpx2
import numpy as np
from PIL import Image

from ijepa.errors import APIConnectionError, APIError
from ijepa.images import ImageInput, ImageInputs, NamedImage, encode_image, iterate, name_image
from ijepa.options import check_fit, check_masks, embed_options
from ijepa.regions import RegionInput, parse_region, parse_targets, to_json
from ijepa.responses import read_embeddings, read_energy, read_error, read_prediction
from ijepa.results import Energy, Prediction
from models.errors import DataError, ImageBytesError
from models.images.preprocess import Fit
from service.operations.base import DType, Output

MAX_IMAGES, MAX_IMAGES_PATCHES, MAX_BODY_BYTES = 32, 8, 60_000_000
"""Of one request: what a server allows by default, with room for the options and the headers of a form."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds before the first retry, doubled for each more, where the server does not say how long."""

RETRIED_STATUSES = (429, 503)
RETRIED_ERRORS = (httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ConnectTimeout)

T = TypeVar("T")


class EncodedImage(NamedTuple):
    """The bytes of a file, and the image's name in errors."""

    name: str
    data: bytes


class Call(NamedTuple):
    """A POST of images and options as a form. Options that are None are left to the server."""

    path: str
    options: dict[str, Any]
    images: Sequence[EncodedImage]
    accept: str = "application/json"

    def form(self) -> list[tuple[str, tuple[str | None, bytes, str]]]:
        """Part `request` with the options as JSON, and a part `file` for each image."""
        options = {name: value for name, value in self.options.items() if value is not None}
        parts: list[tuple[str, tuple[str | None, bytes, str]]] = [
            ("request", (None, json.dumps(options).encode(), "application/json"))
        ]
        return parts + [
            ("file", (str(i), image.data, "application/octet-stream")) for i, image in enumerate(self.images)
        ]


class Wait(NamedTuple):
    """A pause before the next attempt."""

    seconds: float


class Policy(NamedTuple):
    """What all calls of a client share: the model's name, for how long and how often to try again, and the limit of a request."""

    model: str | None
    timeout: float
    retries: int
    max_body_bytes: int


Reply: TypeAlias = httpx2.Response | httpx2.TransportError | None
Exchange: TypeAlias = Generator[Call | Wait, Reply, T]


def advance(exchange: Exchange[T], reply: Reply) -> Call | Wait | tuple[T]:
    """The next step, or the result in a tuple of one."""
    try:
        return exchange.send(reply)
    except StopIteration as end:
        return (end.value,)


def embed(
    policy: Policy,
    images: ImageInputs,
    output: Output,
    pooling: str | None,
    normalize: bool,
    dtype: DType,
    fit: Fit | None,
) -> Exchange[np.ndarray]:
    """See `Client.embed`."""
    options = {"model": policy.model, **embed_options(output, pooling, normalize, dtype, fit)._asdict()}
    limit = MAX_IMAGES_PATCHES if output == "patches" else MAX_IMAGES
    encoded = (_encode(image, policy.max_body_bytes) for image in iterate(images))
    arrays = []
    for chunk in split(encoded, limit, policy.max_body_bytes):
        call = Call("/v1/images/embeddings", options, chunk, "application/x-npy")
        arrays.append((yield from _ask(call, policy, read_embeddings)))
    if not arrays:
        raise DataError("there are no images to embed; an iterator gives its images only once")
    return np.concatenate(arrays)


def predict(
    policy: Policy,
    image: ImageInput,
    targets: Sequence[RegionInput] | None,
    context: RegionInput | None,
    boxes: Sequence[Sequence[float]] | np.ndarray | None,
    fit: Fit | None,
) -> Exchange[Prediction]:
    """See `Client.predict`."""
    check_fit(fit)
    options = {
        "model": policy.model,
        "targets": [to_json(target.spec) for target in parse_targets(targets, boxes)],
        "context": None if context is None else to_json(parse_region(context, "context").spec),
        "fit": fit,
        "return": ["predicted", "actual"],
        "encoding_format": "base64",
    }
    return (
        yield from _ask(
            Call("/v1/predict", options, [_encode(name_image(image), policy.max_body_bytes)]), policy, read_prediction
        )
    )


def energy(policy: Policy, image: ImageInput, masks: int | None, seed: int, fit: Fit | None) -> Exchange[Energy]:
    """See `Client.energy`."""
    check_fit(fit)
    check_masks(masks, seed)
    options = {"model": policy.model, "masks": masks, "seed": seed, "fit": fit}
    return (
        yield from _ask(
            Call("/v1/energy", options, [_encode(name_image(image), policy.max_body_bytes)]), policy, read_energy
        )
    )


def split(images: Iterable[EncodedImage], max_images: int, max_bytes: int) -> Iterator[list[EncodedImage]]:
    """Lists of at most so many images and bytes, in order."""
    chunk: list[EncodedImage] = []
    size = 0
    for image in images:
        if chunk and (len(chunk) == max_images or size + len(image.data) > max_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(image)
        size += len(image.data)
    if chunk:
        yield chunk


def _encode(image: NamedImage, max_bytes: int) -> EncodedImage:
    """An image to be sent.

    Raises:
        ImageBytesError: it would not fit in a request.
        DataError: a file that cannot be read.
    """
    data = encode_image(image)
    if len(data) > max_bytes:
        form = " as lossless WebP or PNG" if isinstance(image.image, Image.Image) else ""
        raise ImageBytesError(
            f"{image.name} has {len(data):,} bytes{form}, a request may have {max_bytes:,}; resize the image, or raise "
            "max_body_bytes of the client and IJEPA_MAX_BODY_BYTES of the server"
        )
    return EncodedImage(image.name, data)


def _ask(call: Call, policy: Policy, read: Callable[[httpx2.Response], T]) -> Exchange[T]:
    """One call, repeated while that may help, and its result.

    Raises:
        APIConnectionError: no answer.
        APIError: an error, or an answer that is not one of the route.
    """
    reply: Reply = None
    for attempt in range(policy.retries + 1):
        reply = yield call
        pause = _pause(reply, attempt)
        if pause is None or pause > policy.timeout or attempt == policy.retries:
            break
        yield Wait(pause)
    if isinstance(reply, httpx2.TimeoutException):
        raise APIConnectionError(f"{reply.request.url}: no answer within {policy.timeout:g} s") from reply
    if isinstance(reply, httpx2.TransportError):
        raise APIConnectionError(f"{reply.request.url} cannot be reached: {reply}") from reply
    assert reply is not None, "the driver answers a call with a response or an error"
    if reply.status_code != httpx2.codes.OK:
        raise read_error(reply, call.path, [image.name for image in call.images])
    try:
        return read(reply)
    except (KeyError, TypeError, ValueError) as error:
        raise APIError(
            f"what {reply.request.url} answered is not a result; is it a server of ijepa?",
            status=reply.status_code,
            request_id=reply.headers.get("x-request-id"),
        ) from error


def _pause(reply: Reply, attempt: int) -> float | None:
    """Seconds after which to try again; None where that would not help."""
    pause = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
    if isinstance(reply, httpx2.Response):
        if reply.status_code not in RETRIED_STATUSES:
            return None
        told = reply.headers.get("retry-after", "")
        return float(told) if told.isdigit() else pause
    return pause if isinstance(reply, RETRIED_ERRORS) else None
