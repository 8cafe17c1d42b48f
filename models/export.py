"""Checkpoint to bundle: three graphs with normalisation and poolings inside, and the proof that they give torch's numbers."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors.numpy import save_file

from models.bundle import (
    CANONICAL,
    CARD,
    PREDICTOR,
    TRAINING_LOG,
    Manifest,
    Parity,
    refuse_to_replace,
    write_manifest,
)
from models.checkpoint import LATEST, RUN_LOG, WEIGHTS, Checkpoint, licence_of, load_model, trained_on
from models.energy import TARGET_EPS
from models.errors import ConfigError
from models.files import sha256_of, whole_folder
from models.graphs import (
    NOTHING_WHITENED,
    EncoderGraph,
    graphs_of,
    poolings_of,
    round_weights,
    save_graph,
    store_as_float16,
    trace,
)
from models.ijepa import IJEPA
from models.parity import Reference, canonical_tolerance
from models.precisions import Pictures, Precision, add_precision
from models.progress import progress
from models.results import Results
from models.session import Session
from models.whitening import Whitening, fit_whitening

Weights = Literal["float32", "float16"]
LEAST = 100
"""Pictures below which a whitening would be theirs, not that of their kind."""
TOLERANCE = {"float32": 1e-4}
"""How far the canonical picture's numbers may be off at load, times max(1, RMS), for each precision a runtime may use."""


def export_bundle(
    checkpoint: Checkpoint,
    out: Path,
    *,
    bundle_id: str,
    licence: str | None = None,
    weights: Weights = "float32",
    card: str | None = None,
    measured: Results | None = None,
    precisions: Sequence[Precision] = (),
    pictures: Pictures | None = None,
    whiten: Pictures | None = None,
) -> Manifest:
    """Write a bundle, whole or not at all.

    With `weights="float16"` large matrices are rounded to float16 first; the graphs store them so, cast them at load and
    compute in float32, and parity is against the rounded network. A network without context encoder or predictor gives
    `encoder.onnx` alone. `licence` is the checkpoint's own where none is given. `precisions` lie beside, quantised with and
    measured on `pictures`. Every pooling has a whitened form too, fitted on `whiten`, where that is given.

    Raises:
        CheckpointError: tensors that do not fit the network.
        ConfigError: what was measured is of another checkpoint; too few pictures for a precision or a whitening.
        ExportError: a graph misses the parity that the contract asks for.
    """
    refuse_to_replace(out)
    checkpoint_sha256 = sha256_of(checkpoint.folder / WEIGHTS)
    if measured:
        _check_same_network(measured, checkpoint, checkpoint_sha256)
    model = load_model(checkpoint).eval()
    if weights == "float16":
        round_weights(model)
    whitenings = fit_whitenings(model, whiten.pixels) if whiten else NOTHING_WHITENED
    with whole_folder(out) as folder:
        graphs = graphs_of(model)
        for name in graphs:
            save_graph(trace(model, name, whitenings), folder / name)
        reference = Reference(model, whitenings)
        canonical = reference.canonical()
        save_file(canonical, folder / CANONICAL)

        variants, tolerance = {}, dict(TOLERANCE)
        for precision in precisions:
            assert pictures is not None, "a precision is measured on pictures"
            variant = add_precision(folder, precision, graphs, checkpoint.config.encoder, pictures)
            difference = measured.difference(precision) if measured else {}
            variants[precision] = variant.model_copy(update={"probe_difference": difference})
            tolerance[precision] = canonical_tolerance(folder, precision, graphs, canonical)

        parity = {}
        for name in graphs:
            if weights == "float16":
                store_as_float16(folder / name)
            parity[name] = reference.parity(name, Session(folder / name))

        description = _describe(checkpoint, checkpoint_sha256, bundle_id, licence, weights, parity, measured)
        description |= {
            "tolerance": tolerance,
            "variants": {name: value.model_dump() for name, value in variants.items()},
            "poolings": poolings_of(checkpoint.config.encoder, whitenings),
            "whitening": whiten and {"pictures": len(whiten.pixels), "measured_on": whiten.description},
        }
        (folder / CARD).write_text(model_card(description, measured, card))
        run = checkpoint.folder.parent
        if (run / LATEST).is_file() and (run / RUN_LOG).is_file():
            shutil.copyfile(run / RUN_LOG, folder / TRAINING_LOG)
        return write_manifest(folder, description)


def _check_same_network(measured: Results, checkpoint: Checkpoint, checkpoint_sha256: str) -> None:
    """Results belong to the weights and to the grid that they were measured with."""
    if measured.checkpoint_sha256 != checkpoint_sha256:
        raise ConfigError(
            f"the results are of the checkpoint with sha256 {measured.checkpoint_sha256[:12]}, this one has "
            f"{checkpoint_sha256[:12]}; run 'ijepa probe' on it"
        )
    grid = checkpoint.config.encoder.grid
    if measured.grid != grid:
        raise ConfigError(
            f"the results are of a grid of {measured.grid[0]}x{measured.grid[1]} patches, this export has "
            f"{grid[0]}x{grid[1]}; run 'ijepa probe' on the bundle of this size"
        )


@torch.no_grad()
def fit_whitenings(model: IJEPA, pixels: UInt8[np.ndarray, "n H W C"]) -> dict[str, Whitening]:
    """A whitening of each pooling, of the numbers that the exported network gives for these pictures.

    Raises:
        ConfigError: too few pictures.
    """
    if len(pixels) < LEAST:
        raise ConfigError(f"a whitening needs at least {LEAST} pictures, better thousands; there are {len(pixels)}")
    encoder, batch = EncoderGraph(model), model.config.encoder.at_once(256)
    pools: dict[str, list[np.ndarray]] = {name: [] for name in encoder.poolings}
    with progress(len(pixels), "pictures to whiten with", "pictures") as bar:
        for start in range(0, len(pixels), batch):
            chunk = torch.from_numpy(pixels[start : start + batch])
            for name, pooled in zip(pools, encoder(chunk)[1:], strict=True):
                pools[name].append(pooled.numpy())
            bar.update(len(chunk))
    return {name: fit_whitening(np.concatenate(parts)) for name, parts in pools.items()}


def model_card(manifest: dict[str, Any], measured: Results | None, text: str | None = None) -> str:
    """A card: the text that was given, or what the manifest says of the network; then what was measured, from the manifest."""
    source, encoder = manifest["source"], manifest["model"]["encoder"]
    seen = f" ({source['images_seen']:,} pictures seen in {source['steps']:,} steps)" if source["steps"] else ""
    if text and manifest["licence"] not in text:
        text = f"{text.rstrip()}\n\nLicence of the weights: {manifest['licence']}.\n"
    text = text or (
        f"# {manifest['id']}\n\n"
        f"An I-JEPA: a {encoder['depth']}-block, {encoder['width']}-wide Vision Transformer over "
        f"{encoder['grid'][0]}x{encoder['grid'][1]} patches of {encoder['patch_size']} pixels, "
        f"{'with its predictor' if PREDICTOR in manifest['parity'] else 'for embeddings alone, as its source was'}.\n\n"
        f"- Trained on {source['trained_on']}{seen}.\n"
        f"- Source: {source['recipe']}.\n"
        f"- Licence: {manifest['licence']}.\n"
        f"- Poolings: {', '.join(f'`{name}` ({width})' for name, width in manifest['poolings'].items())}.\n"
    )
    parity = ", ".join(f"{name} {value['max_difference']:.1e}" for name, value in manifest["parity"].items())
    allowed = max(value["allowed"] for value in manifest["parity"].values())
    others = "".join(
        f"In {name}, {variant['pictures']:,} pictures of {variant['measured_on']}: mean-centred cosine to float32, first "
        "percentile and mean, "
        + "; ".join(
            f"{graph} {x['first_percentile']:.5f} and {x['mean']:.5f}" for graph, x in variant["accuracy"].items()
        )
        + ".\n"
        for name, variant in manifest["variants"].items()
    )
    probes = measured.markdown() if measured else "No probe was run (`ijepa probe`).\n"
    return (
        f"{text.rstrip()}\n\n## What was measured\n\n{probes}\n"
        f"Largest difference between ONNX Runtime and torch, float32: {parity} (at most {allowed:.1e} is allowed).\n{others}"
    )


def _describe(
    checkpoint: Checkpoint,
    checkpoint_sha256: str,
    bundle_id: str,
    licence: str | None,
    weights: str,
    parity: dict[str, Parity],
    measured: Results | None,
) -> dict[str, Any]:
    """The manifest, but for its list of files."""
    training = checkpoint.training
    settings = training.get("settings", {})
    objective = settings.get("objective", {})
    steps = training.get("step")
    return {
        "id": bundle_id,
        "licence": licence or licence_of(training),
        "source": {
            "checkpoint_sha256": checkpoint_sha256,
            "recipe": training.get("recipe", "none"),
            "trained_on": trained_on(training),
            "steps": steps,
            "images_seen": steps and steps * settings.get("optim", {}).get("batch_size", 0),
        },
        "model": checkpoint.config.model_dump(mode="json"),
        "masking": settings.get("masking", {}),
        "distance": {"name": objective.get("distance", "smooth_l1"), "beta": objective.get("beta", 1.0)},
        "target_normalisation": {"name": "layer_norm", "eps": TARGET_EPS},
        "stored_weights": weights,
        "parity": {name: value.model_dump() for name, value in parity.items()},
        "probes": measured.model_dump(mode="json") if measured else {},
    }
