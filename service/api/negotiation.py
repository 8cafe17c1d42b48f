"""What a response is: JSON floats, base64, or one .npy file. `ENCODINGS` and `MEDIA` are the tables."""

import base64
import functools
import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from models.errors import short_repr
from service.errors import NotAcceptable

JSON, NPY = "application/json", "application/x-npy"


def to_float(array: np.ndarray) -> np.ndarray:
    """JSON numbers: numpy arrays are written as they are, in their shortest form, one row a patch."""
    return array


def to_base64(array: np.ndarray) -> str:
    """Little-endian values, row-major, in base64: what OpenAI's clients decode."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()).decode()


def to_npy(arrays: Sequence[np.ndarray]) -> Iterator[bytes]:
    """All embeddings of a response as one array in NumPy's file format: its header, then a piece for each."""
    file, first = io.BytesIO(), arrays[0]
    dtype = first.dtype.newbyteorder("<")
    header = {"descr": dtype.str, "fortran_order": False, "shape": (len(arrays), *first.shape)}
    np.lib.format.write_array_header_1_0(file, header)
    yield file.getvalue()
    for array in arrays:
        yield array.astype(dtype, copy=False).tobytes()


ENCODINGS: dict[str, Callable[[np.ndarray], object]] = {"float": to_float, "base64": to_base64}

BYTES_PER_VALUE = {"float": 12.0, "base64": 16 / 3}
"""About how many bytes a float32 has in each of the encodings."""

MEDIA: dict[str, Callable[[Sequence[np.ndarray]], Iterator[bytes]]] = {NPY: to_npy}
"""Binary responses by media type, in pieces."""

MAX_ACCEPT = 4096
"""Characters of an Accept header."""


@functools.lru_cache(maxsize=64)
def choose_media(accept: str | None) -> str:
    """The media type of a response: JSON if the client accepts it or does not say; of several, the one with the highest q.

    Raises:
        NotAcceptable: the client accepts none of ours.
    """
    offers = [JSON, *MEDIA]
    if accept and len(accept) > MAX_ACCEPT:
        raise NotAcceptable(f"accept has {len(accept):,} characters, at most {MAX_ACCEPT:,}", "accept")
    best, chosen = 0.0, ""
    for part in (accept or "*/*").split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((_number(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
        match = next((offer for offer in offers if name in (offer, f"{offer.split('/')[0]}/*", "*/*")), None)
        if match and weight > best:
            best, chosen = weight, match
    if not chosen:
        raise NotAcceptable(f"accept is {short_repr(accept, 200)}; the response can be {' or '.join(offers)}", "accept")
    return chosen


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
