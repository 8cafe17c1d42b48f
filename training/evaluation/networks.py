"""The networks under test, each as `models.runtimes.networks.Networks`: a bundle by its runtime, anything else by torch."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8

from models.bundle.manifest import MANIFEST
from models.bundle.reader import Bundle, find_bundle, read_bundle
from models.checkpoint.store import LATEST, WEIGHTS, load_model, read_checkpoint
from models.config import ModelConfig
from models.errors import ConfigError
from models.export.graphs import ContextGraph, EncoderGraph, PredictorGraph
from models.export.provenance import distance_of
from models.inference.prediction import TargetSpace
from models.io import sha256_of
from models.network.ijepa import IJEPA
from models.runtimes.networks import Networks
from models.runtimes.select import open_reference

log = logging.getLogger(__name__)


class Network(NamedTuple):
    """A network under test.

    `identity` changes with whatever changes its outputs; `checkpoint_sha256` is of the weights that it was made from;
    `description` says in which form they are. `predicts` is False where it has no context encoder and predictor.
    """

    identity: str
    checkpoint_sha256: str
    description: str
    config: ModelConfig
    poolings: tuple[str, ...]
    space: TargetSpace
    graphs: Networks
    predicts: bool


class TorchNetworks:
    """See `models.runtimes.networks.Networks`: the graphs of an export, computed by torch on the CPU."""

    def __init__(self, model: IJEPA) -> None:
        self._encoder = EncoderGraph(model.eval())
        self.poolings = tuple(self._encoder.poolings)
        if model.predicts:
            self._context, self._predictor = ContextGraph(model), PredictorGraph(model)

    @torch.no_grad()
    def encode(self, pixels: UInt8[np.ndarray, "B H W C"], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Networks.encode`."""
        values = self._encoder(torch.from_numpy(pixels))
        every = dict(zip(("tokens", *self.poolings), values, strict=True))
        return {name: every[name].numpy() for name in outputs}

    @torch.no_grad()
    def encode_context(
        self, pixels: UInt8[np.ndarray, "B H W C"], context_ids: Int64[np.ndarray, "B K"]
    ) -> Float32[np.ndarray, "B K D"]:
        """See `Networks.encode_context`."""
        tokens: np.ndarray = self._context(torch.from_numpy(pixels), torch.from_numpy(context_ids)).numpy()
        return tokens

    @torch.no_grad()
    def predict(
        self,
        context_tokens: Float32[np.ndarray, "B K D"],
        context_ids: Int64[np.ndarray, "B K"],
        target_ids: Int64[np.ndarray, "B T"],
    ) -> Float32[np.ndarray, "B T D"]:
        """See `Networks.predict`."""
        arrays = (torch.from_numpy(array) for array in (context_tokens, context_ids, target_ids))
        predicted: np.ndarray = self._predictor(*arrays).numpy()
        return predicted


def open_network(model: str) -> Network:
    """A bundle (a folder or a name) or a checkpoint (a step or a run).

    Raises:
        BundleError: neither, or a bundle that cannot be read.
        CheckpointError: a checkpoint that cannot be read.
    """
    if is_checkpoint(model):
        checkpoint = read_checkpoint(Path(model))
        sha256 = sha256_of(checkpoint.folder / WEIGHTS)
        return of_model(load_model(checkpoint), TargetSpace(distance_of(checkpoint.training)), sha256)
    return of_bundle(read_bundle(find_bundle(model)))


def is_checkpoint(model: str) -> bool:
    """Whether a path is of a step or a run; a folder with a manifest is a bundle."""
    folder = Path(model)
    return not (folder / MANIFEST).is_file() and any((folder / name).is_file() for name in (LATEST, WEIGHTS))


def other_precisions(model: str) -> dict[str, Network]:
    """The same network in every other precision that its bundle has and this CPU computes; others are logged."""
    if is_checkpoint(model):
        return {}
    bundle, networks = read_bundle(find_bundle(model)), {}
    for precision in bundle.manifest.variants:
        try:
            networks[precision] = of_bundle(bundle, precision)
        except ConfigError as error:
            log.warning("%s is left out: %s", precision, error)
    return networks


def of_bundle(bundle: Bundle, precision: str = "float32") -> Network:
    """What a server with this bundle computes on a CPU."""
    manifest = bundle.manifest
    return Network(
        identity=f"{bundle.sha256} {precision}",
        checkpoint_sha256=manifest.source.checkpoint_sha256,
        description=f"exported bundle, weights stored as {manifest.stored_weights}",
        config=manifest.model,
        poolings=tuple(manifest.poolings),
        space=TargetSpace.of(manifest),
        graphs=open_reference(bundle, precision),
        predicts=manifest.predicts,
    )


def of_model(model: IJEPA, space: TargetSpace, sha256: str) -> Network:
    """What torch computes of a network on the CPU. `sha256` is of its weights."""
    graphs = TorchNetworks(model)
    return Network(
        identity=f"{sha256} {model.config.model_dump_json()}",
        checkpoint_sha256=sha256,
        description="checkpoint",
        config=model.config,
        poolings=graphs.poolings,
        space=space,
        graphs=graphs,
        predicts=model.predicts,
    )


def untrained(network: Network, seed: int = 0) -> Network:
    """The same network before its first step."""
    torch.manual_seed(seed)
    absent = () if network.predicts else ("context_encoder", "predictor")
    return of_model(IJEPA(network.config, absent), network.space, f"untrained {seed}")
