"""What a probe needs of a network, as functions of numpy arrays, whether ONNX Runtime or torch computes them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from models.bundle import MANIFEST, ZOO, Bundle, Distance, find_bundle, read_bundle
from models.checkpoint import WEIGHTS, Checkpoint, load_model, read_checkpoint
from models.config import ModelConfig
from models.files import sha256_of
from models.graphs import ContextGraph, EncoderGraph, PredictorGraph, poolings_of
from models.ijepa import IJEPA
from models.session import BundleSessions

Array = np.ndarray


class Network(NamedTuple):
    """A network under test. `identity` changes with whatever changes its numbers; `checkpoint_sha256` is of the weights it was
    made from, and `description` says in which form they are.

    `encode` gives `tokens` and every pooling by name. `predict` takes pixels and the ids of context and target patches, -1 in
    either list being padding; it is None where the network has no predictor.
    """

    identity: str
    checkpoint_sha256: str
    description: str
    config: ModelConfig
    distance: Distance
    encode: Callable[[Array], dict[str, Array]]
    predict: Callable[[Array, Array, Array], Array] | None


def open_network(model: str) -> Network:
    """A bundle's folder or name, or a checkpoint."""
    if is_bundle(model):
        return of_bundle(read_bundle(find_bundle(model)))
    checkpoint = read_checkpoint(Path(model))
    sha256 = sha256_of(checkpoint.folder / WEIGHTS)
    return of_model(load_model(checkpoint), distance_of(checkpoint), sha256)


def is_bundle(model: str) -> bool:
    """Whether a name or path is of a bundle."""
    return any((folder / MANIFEST).is_file() for folder in (Path(model), ZOO / model))


def other_precisions(model: str) -> dict[str, Network]:
    """The same network in every other precision that its bundle has."""
    if not is_bundle(model):
        return {}
    bundle = read_bundle(find_bundle(model))
    return {precision: of_bundle(bundle, precision) for precision in bundle.manifest.variants}


def of_bundle(bundle: Bundle, precision: str = "float32") -> Network:
    """What a server with this bundle computes."""
    manifest, graphs = bundle.manifest, BundleSessions(bundle, precision=precision)
    names = ["tokens", *manifest.poolings]

    def predict(pixels: Array, ids: Array, targets: Array) -> Array:
        return graphs.predict(graphs.encode_context(pixels, ids), ids, targets)

    return Network(
        f"{bundle.sha256} {precision}",
        manifest.source.checkpoint_sha256,
        f"exported bundle, weights stored as {manifest.stored_weights}",
        manifest.model,
        manifest.distance,
        lambda pixels: graphs.encode(pixels, names),
        predict if manifest.predicts else None,
    )


def of_model(model: IJEPA, distance: Distance, sha256: str) -> Network:
    """What torch says of a network, on the CPU. `sha256` is of its weights."""
    names = ["tokens", *poolings_of(model.config.encoder)]
    encode = _numpy(EncoderGraph(model.eval()))
    predict = None
    if model.predicts:
        context, predictor = _numpy(ContextGraph(model)), _numpy(PredictorGraph(model))

        def predict(pixels: Array, ids: Array, targets: Array) -> Array:
            return predictor(*context(pixels, ids), ids, targets)[0]

    return Network(
        f"{sha256} {model.config.model_dump_json()}",
        sha256,
        "checkpoint",
        model.config,
        distance,
        lambda pixels: dict(zip(names, encode(pixels), strict=True)),
        predict,
    )


def untrained(network: Network, seed: int = 0) -> Network:
    """The same network as it is before its first step: the floor that training has to leave."""
    torch.manual_seed(seed)
    absent = () if network.predict else ("context_encoder", "predictor")
    return of_model(IJEPA(network.config, absent), network.distance, f"untrained {seed}")


def distance_of(checkpoint: Checkpoint) -> Distance:
    """The distance that a checkpoint was trained with."""
    objective = checkpoint.training.get("settings", {}).get("objective", {})
    return Distance(name=objective.get("distance", "smooth_l1"), beta=objective.get("beta", 1.0))


def _numpy(graph: nn.Module) -> Callable[..., list[Array]]:
    @torch.no_grad()
    def run(*arrays: Array) -> list[Array]:
        out = graph(*(torch.from_numpy(array) for array in arrays))
        return [tensor.numpy() for tensor in (out if isinstance(out, tuple) else (out,))]

    return run
