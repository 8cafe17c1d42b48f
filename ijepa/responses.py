"""A server's answers as results, and as errors."""

import base64
import io
import re
from collections.abc import Sequence
from typing import Any

import httpx2
import numpy as np

from ijepa.errors import APIError
from ijepa.results import Energy, Prediction, Target


def read_embeddings(response: httpx2.Response) -> np.ndarray:
    """One array of all images of a request."""
    array: np.ndarray = np.load(io.BytesIO(response.content), allow_pickle=False)
    return array


def read_prediction(response: httpx2.Response) -> Prediction:
    """The answer of `/v1/predict` with `encoding_format` base64."""
    body = response.json()
    rows, columns = body["grid"]
    return Prediction(
        grid=(rows, columns),
        context_patches=np.array(body["context_patches"], dtype=np.int64),
        targets=tuple(_read_target(target) for target in body["targets"]),
        warnings=tuple(warning["message"] for warning in body["warnings"]),
    )


def read_energy(response: httpx2.Response) -> Energy:
    """The answer of `/v1/energy`."""
    body = response.json()
    z = body.get("z")
    return Energy(
        energy=np.array(body["energy"]),
        mean=body["mean"],
        masks=body["masks"],
        seed=body["seed"],
        z=None if z is None else np.array(z),
    )


def read_error(response: httpx2.Response, path: str, names: Sequence[str]) -> APIError:
    """A response that is an error. An image that it is about gets its name on our side."""
    try:
        body = response.json()["error"]
        message, code, kind, param = str(body["message"]), str(body["code"]), body.get("type"), body.get("param")
    except (KeyError, TypeError, ValueError):
        message, code = f"HTTP {response.status_code}: {response.text[:200]!r}", "unknown"
        kind = param = None
    if response.status_code == httpx2.codes.NOT_FOUND and code in ("not_found", "unknown"):
        message = f"this server has no {path}: {message}"
    elif found := re.fullmatch(r"file\[(\d+)\]", param or ""):
        message = f"{names[int(found[1])]}: {message}"
    return APIError(
        message,
        status=response.status_code,
        code=code,
        type=kind,
        param=param,
        request_id=response.headers.get("x-request-id"),
    )


def _read_target(target: dict[str, Any]) -> Target:
    patches, z = np.array(target["patches"], dtype=np.int64), target.get("z_per_patch")
    x0, y0, x1, y1 = target["box"]
    return Target(
        patches=patches,
        box=(x0, y0, x1, y1),
        energy=target["energy"],
        energy_per_patch=np.array(target["energy_per_patch"]),
        z=target.get("z"),
        z_per_patch=None if z is None else np.array(z),
        cosine=target["cosine"],
        predicted=_read_tokens(target["predicted"], len(patches)),
        actual=_read_tokens(target["actual"], len(patches)),
    )


def _read_tokens(text: str, count: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype="<f4").reshape(count, -1).astype(np.float32)
