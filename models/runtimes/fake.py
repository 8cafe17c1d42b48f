"""A runtime without a network: outputs depend on the pixels the same way a real one's do, in microseconds.

For tests of everything around the network, ours and those of people who build on the service.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from models.bundle.reader import Bundle


class FakeRuntime:
    """See `Runtime`. A token is the mean of its patch's pixels, spread over the width by a fixed wave."""

    device: ClassVar[str | None] = None
    exact = False
    batch_size = 1
    lanes = 1

    def __init__(self, bundle: Bundle, precision: str = "float32", threads: int = 0) -> None:  # noqa: ARG002
        self.name, self.precision = "fake", precision
        self._config, self._poolings = bundle.manifest.model.encoder, bundle.manifest.poolings
        self._wave = np.cos(np.arange(self._config.width, dtype=np.float32))

    @classmethod
    def available(cls) -> bool:
        """Everywhere."""
        return True

    @classmethod
    def precisions(cls) -> tuple[str, ...]:
        """See `RuntimeClass.precisions`."""
        return ("float32",)

    @classmethod
    def library(cls) -> str:
        """See `RuntimeClass.library`."""
        return "fake"

    @property
    def lane(self) -> "FakeRuntime":
        """See `Runtime`."""
        return self

    def encode(self, pixels: UInt8[np.ndarray, "B H W C"], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Networks.encode`."""
        tokens = self._tokens(pixels)
        mean = tokens.mean(axis=1)
        every = {"tokens": tokens} | {
            name: np.tile(mean, width // self._config.width) for name, width in self._poolings.items()
        }
        return {name: every[name] for name in outputs}

    def encode_context(
        self, pixels: UInt8[np.ndarray, "B H W C"], context_ids: Int64[np.ndarray, "B K"]
    ) -> Float32[np.ndarray, "B K D"]:
        """See `Networks.encode_context`."""
        return np.take_along_axis(self._tokens(pixels), context_ids.clip(0)[..., None], axis=1)

    def predict(
        self,
        context_tokens: Float32[np.ndarray, "B K D"],
        context_ids: Int64[np.ndarray, "B K"],
        target_ids: Int64[np.ndarray, "B T"],
    ) -> Float32[np.ndarray, "B T D"]:
        """See `Networks.predict`: the mean of the context, whatever the target."""
        kept = (context_ids >= 0)[..., None]
        mean = (context_tokens * kept).sum(axis=1) / kept.sum(axis=1)
        return np.repeat(mean[:, None], target_ids.shape[1], axis=1).astype(np.float32)

    def _tokens(self, pixels: UInt8[np.ndarray, "B H W C"]) -> Float32[np.ndarray, "B N D"]:
        (rows, columns), side = self._config.grid, self._config.patch_size
        patches = pixels.reshape(len(pixels), rows, side, columns, side, -1).mean(axis=(2, 4, 5))
        return (patches.reshape(len(pixels), -1, 1) / 255 * self._wave).astype(np.float32)
