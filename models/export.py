"""Checkpoint to bundle: three graphs with normalisation and poolings inside, and the proof that they give torch's numbers."""

import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import jaxtyping
import numpy as np
import onnx
import torch
from jaxtyping import Float, Int64, UInt8
from onnx import helper, numpy_helper
from safetensors.numpy import save_file
from torch import Tensor, nn

from models.bundle import (
    CANONICAL,
    CARD,
    CONTEXT,
    ENCODER,
    MANIFEST,
    PREDICTOR,
    TRAINING_LOG,
    Manifest,
    Parity,
    write_manifest,
)
from models.checkpoint import RUN_LOG, WEIGHTS, Checkpoint, load_model
from models.config import EncoderConfig
from models.encoder import normalise
from models.errors import ExportError
from models.files import sha256_of, whole_folder
from models.ijepa import IJEPA
from models.session import Session

OPSET = 20
Weights = Literal["float32", "float16"]
TOLERANCE = {"float32": 1e-4}
"""How far the canonical picture's numbers may be off at load, times max(1, RMS), for each precision a runtime may use."""


class EncoderGraph(nn.Module):
    """`encoder.onnx`: tokens of the target encoder and every pooling of them."""

    def __init__(self, model: IJEPA) -> None:
        super().__init__()
        self.encoder, self.recipe = model.target_encoder, model.config.pixels

    def forward(self, pixels: UInt8[Tensor, "B H W C"]) -> tuple[Tensor, ...]:
        """Tokens, then the poolings in the order of `poolings_of`."""
        normed = [self.encoder.norm(x) for x in self.encoder.blocks_of(normalise(pixels, self.recipe))[-4:]]
        pools = [normed[-1].mean(dim=1)]
        if len(normed) == 4:
            pools.append(torch.cat([x.mean(dim=1) for x in normed], dim=1))
        return normed[-1], *pools


class ContextGraph(nn.Module):
    """`context.onnx`: tokens of the kept patches, the others dropped before the first block. Id -1 is padding."""

    def __init__(self, model: IJEPA) -> None:
        super().__init__()
        self.encoder, self.recipe = model.context_encoder, model.config.pixels

    def forward(self, pixels: UInt8[Tensor, "B H W C"], context_ids: Int64[Tensor, "B K"]) -> Tensor:
        """Tokens after the last norm; those of padding mean nothing."""
        mask = (context_ids >= 0)[:, None, None, :]
        return self.encoder(normalise(pixels, self.recipe), context_ids.clamp(min=0), mask)


class PredictorGraph(nn.Module):
    """`predictor.onnx`: one target block a row. Id -1 is padding in either list."""

    def __init__(self, model: IJEPA) -> None:
        super().__init__()
        self.predictor = model.predictor

    def forward(
        self,
        context_tokens: Float[Tensor, "B K D"],
        context_ids: Int64[Tensor, "B K"],
        target_ids: Int64[Tensor, "B T"],
    ) -> Tensor:
        """Predicted tokens, in the space of layer-normed targets."""
        mask = (torch.cat([context_ids, target_ids], dim=1) >= 0)[:, None, None, :]
        return self.predictor(context_tokens, context_ids.clamp(min=0), target_ids.clamp(min=0), mask)


def export_bundle(
    checkpoint: Checkpoint,
    out: Path,
    *,
    bundle_id: str,
    licence: str = "unspecified",
    weights: Weights = "float32",
    card: str | None = None,
    probes: dict[str, Any] | None = None,
) -> Manifest:
    """Write a bundle, whole or not at all.

    With `weights="float16"` large matrices are rounded to float16 first; the graphs store them so, cast them at load and
    compute in float32, and parity is against the rounded network.

    Raises:
        CheckpointError: a part of the network is absent.
        ExportError: a graph misses the parity that the contract asks for.
    """
    refuse_to_replace(out)
    model = load_model(checkpoint).eval()
    if weights == "float16":
        round_weights(model)
    with whole_folder(out) as folder:
        parity = {}
        for name in (ENCODER, CONTEXT, PREDICTOR):
            graph = trace(model, name)
            if weights == "float16":
                store_as_float16(graph)
            onnx.save(graph, folder / name)
        reference = Reference(model)
        for name in (ENCODER, CONTEXT, PREDICTOR):
            parity[name] = reference.parity(name, Session(folder / name))
        save_file(reference.canonical(), folder / CANONICAL)
        description = _describe(checkpoint, bundle_id, licence, weights, parity, probes or {})
        (folder / CARD).write_text(card or model_card(description))
        run_log = checkpoint.folder.parent / RUN_LOG
        if run_log.is_file():
            shutil.copyfile(run_log, folder / TRAINING_LOG)
        return write_manifest(folder, description)


def refuse_to_replace(out: Path) -> None:
    """A bundle may take the place of a bundle or of an empty folder, and of nothing else.

    Raises:
        ExportError: something else is there.
    """
    if out.is_dir() and not (out / MANIFEST).exists() and any(out.iterdir()):
        raise ExportError(f"{out} is not empty and holds no bundle; use another --out")
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out} is a file; --out names a folder")


def poolings_of(encoder: EncoderConfig) -> dict[str, int]:
    """Poolings and their widths: the mean of the last tokens; the means of the last four blocks' tokens, each normed (paper, A.2)."""
    return {"mean": encoder.width} | ({"last4": 4 * encoder.width} if encoder.depth >= 4 else {})


def round_weights(model: nn.Module) -> None:
    """Round every learned matrix to the nearest float16, still held as float32."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and not name.endswith("pos_embed"):
                parameter.copy_(parameter.half().float())


def store_as_float16(model: onnx.ModelProto) -> None:
    """Hold as float16, with a cast behind, every large float32 constant that loses nothing by it."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 1024 or not np.array_equal(values.astype(np.float16), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.float16"))
        casts.append(helper.make_node("Cast", [f"{name}.float16"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


class Reference:
    """What torch says, on the canonical picture and on fixed seeded ones, and how far a session is from it."""

    def __init__(self, model: IJEPA, seed: int = 0) -> None:
        self.model = model
        config = model.config.encoder
        draw = np.random.default_rng(seed)
        height, width = config.image_size
        self.pixels = np.stack(
            [canonical_picture(height, width, config.channels)]
            + [draw.integers(0, 256, (height, width, config.channels), dtype=np.uint8) for _ in range(7)]
        )
        kept = max(2, config.patches // 3)
        order = np.stack([draw.permutation(config.patches) for _ in self.pixels])
        self.context_ids = np.sort(order[:, :kept], axis=1)
        self.target_ids = np.sort(order[:, kept : kept + max(1, config.patches // 6)], axis=1)

    @torch.no_grad()
    def outputs(self, name: str, pixels: np.ndarray, context: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        """Torch's numbers for a graph."""
        x, k, t = torch.from_numpy(pixels), torch.from_numpy(context), torch.from_numpy(target)
        if name == ENCODER:
            return [y.numpy() for y in EncoderGraph(self.model)(x)]
        tokens = ContextGraph(self.model)(x, k)
        return [tokens.numpy() if name == CONTEXT else PredictorGraph(self.model)(tokens, k, t).numpy()]

    def inputs(self, name: str, pixels: np.ndarray, context: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
        """The same inputs under the graph's names."""
        if name == ENCODER:
            return {"pixels": pixels}
        if name == CONTEXT:
            return {"pixels": pixels, "context_ids": context}
        tokens = self.outputs(CONTEXT, pixels, context, target)[0]
        return {"context_tokens": tokens, "context_ids": context, "target_ids": target}

    def parity(self, name: str, session: Session) -> Parity:
        """Compare on all pictures, on one with one patch of each kind, and with padding.

        Raises:
            ExportError: the difference is above 1e-4 x max(1, RMS of the reference).
        """
        everything = (self.pixels, self.context_ids, self.target_ids)
        single = (self.pixels[:1], self.context_ids[:1, :1], self.target_ids[:1, :1])
        worst, rms = 0.0, 0.0
        for args in (everything, single):
            expected = self.outputs(name, *args)
            given = session.run(session.outputs, **self.inputs(name, *args))
            if not all(np.isfinite(array).all() for array in (*expected, *given)):
                raise ExportError(f"{name} gives numbers that are not finite; nothing was written")
            worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(expected, given, strict=True)))
            rms = max(rms, float(np.sqrt(np.mean(np.square(expected[0])))))
        if name != ENCODER:
            worst = max(worst, self._padding_error(name, session))
        allowed = 1e-4 * max(1.0, rms)
        if not worst <= allowed:
            raise ExportError(
                f"{name} is off torch's numbers by {worst:.2e}, more than {allowed:.2e}; nothing was written"
            )
        return Parity(max_difference=worst, reference_rms=rms, allowed=allowed)

    def _padding_error(self, name: str, session: Session) -> float:
        """How far the numbers move when both id lists are padded with -1."""
        inputs = self.inputs(name, self.pixels, self.context_ids, self.target_ids)
        padded = {key: _pad(value) if key != "pixels" else value for key, value in inputs.items()}
        (plain,), (more,) = session.run(session.outputs, **inputs), session.run(session.outputs, **padded)
        return float(np.abs(plain - more[:, : plain.shape[1]]).max())

    def canonical(self) -> dict[str, np.ndarray]:
        """The picture, its tokens and poolings, and one region's prediction, as torch has them."""
        one = (self.pixels[:1], self.context_ids[:1], self.target_ids[:1])
        tokens, *pools = self.outputs(ENCODER, *one)
        return {
            "pixels": self.pixels[0],
            "context_ids": self.context_ids[0],
            "target_ids": self.target_ids[0],
            "tokens": tokens[0],
            **{name: pool[0] for name, pool in zip(poolings_of(self.model.config.encoder), pools, strict=True)},
            "predicted": self.outputs(PREDICTOR, *one)[0][0],
        }


def canonical_picture(height: int, width: int, channels: int) -> UInt8[np.ndarray, "H W C"]:
    """A picture that is the same everywhere: a bright disc with a dark bar on a coloured slope."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    disc = (x - 0.45) ** 2 + (y - 0.5) ** 2 < 0.09
    bar = disc & (abs(y - 0.5) < 0.08)
    planes = [
        np.where(bar, 40, np.where(disc, 220 - 30 * c, 60 + 25 * c + 60 * (x if c % 2 else y))) for c in range(channels)
    ]
    return np.stack(planes, axis=-1).astype(np.uint8)


def model_card(manifest: dict[str, Any]) -> str:
    """A card for a bundle that came without one: what the manifest says, as text."""
    source, encoder = manifest["source"], manifest["model"]["encoder"]
    return (
        f"# {manifest['id']}\n\n"
        f"An I-JEPA: a {encoder['depth']}-block, {encoder['width']}-wide Vision Transformer over "
        f"{encoder['grid'][0]}x{encoder['grid'][1]} patches of {encoder['patch_size']} pixels, with its predictor.\n\n"
        f"- Trained on {source['trained_on']} ({source['images_seen']:,} pictures seen in {source['steps']:,} steps).\n"
        f"- Licence: {manifest['licence']}.\n"
        f"- Poolings: {', '.join(f'`{name}` ({width})' for name, width in manifest['poolings'].items())}.\n"
        f"- Probes: {json.dumps(manifest['probes']) if manifest['probes'] else 'none were run'}.\n"
    )


def trained_on(training: dict[str, Any]) -> str:
    """All pictures that had a part in the weights."""
    pictures = training.get("trained_on", "unknown pictures")
    before = (training.get("init") or {}).get("trained_on")
    return f"{pictures}, starting from a network trained on {before}" if before else pictures


def _describe(
    checkpoint: Checkpoint,
    bundle_id: str,
    licence: str,
    weights: str,
    parity: dict[str, Parity],
    probes: dict[str, Any],
) -> dict[str, Any]:
    """The manifest, but for its list of files."""
    training = checkpoint.training
    settings = training.get("settings", {})
    objective = settings.get("objective", {})
    steps = training.get("step", 0)
    return {
        "id": bundle_id,
        "licence": licence,
        "source": {
            "checkpoint_sha256": sha256_of(checkpoint.folder / WEIGHTS),
            "recipe": training.get("recipe", "none"),
            "trained_on": trained_on(training),
            "steps": steps,
            "images_seen": steps * settings.get("optim", {}).get("batch_size", 0),
        },
        "model": checkpoint.config.model_dump(mode="json"),
        "poolings": poolings_of(checkpoint.config.encoder),
        "masking": settings.get("masking", {}),
        "distance": {"name": objective.get("distance", "smooth_l1"), "beta": objective.get("beta", 1.0)},
        "target_normalisation": {"name": "layer_norm", "eps": 1e-5},
        "stored_weights": weights,
        "parity": {name: value.model_dump() for name, value in parity.items()},
        "tolerance": TOLERANCE,
        "probes": probes,
    }


def trace(model: IJEPA, name: str) -> onnx.ModelProto:
    """One graph, traced with every dynamic axis at least 2 (the exporter would freeze an axis of 1), without its stack traces."""
    batch, kept, block = (torch.export.Dim(letter, min=1) for letter in ("B", "K", "T"))
    reference = Reference(model)
    pixels = torch.from_numpy(reference.pixels[:3])
    context, target = torch.from_numpy(reference.context_ids[:3]), torch.from_numpy(reference.target_ids[:3])
    if target.shape[1] < 2:
        target = torch.cat([target, target], dim=1)
    graphs: dict[str, tuple[nn.Module, tuple[Tensor, ...], tuple[Any, ...], list[str]]] = {
        ENCODER: (EncoderGraph(model), (pixels,), ({0: batch},), ["tokens", *poolings_of(model.config.encoder)]),
        CONTEXT: (ContextGraph(model), (pixels, context), ({0: batch}, {0: batch, 1: kept}), ["context_tokens"]),
        PREDICTOR: (
            PredictorGraph(model),
            (torch.zeros(3, context.shape[1], model.config.encoder.width), context, target),
            ({0: batch, 1: kept}, {0: batch, 1: kept}, {0: batch, 1: block}),
            ["predicted"],
        ),
    }
    graph, args, shapes, outputs = graphs[name]
    inputs = {ENCODER: ["pixels"], CONTEXT: ["pixels", "context_ids"]}.get(
        name, ["context_tokens", "context_ids", "target_ids"]
    )
    with _quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            graph.eval(),
            args,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=inputs,
            output_names=outputs,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return without_traces(program.model_proto)


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without what the exporter notes of where each node came from: it is most of a small graph, and names files of this machine."""
    for part in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.initializer,
        *model.graph.input,
        *model.graph.output,
    ):
        for field in ("metadata_props", "doc_string"):
            part.ClearField(field)
    model.graph.ClearField("value_info")
    return model


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """No shape checks inside the trace, and no chatter of the exporter."""
    before = jaxtyping.config.jaxtyping_disable
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    jaxtyping.config.update("jaxtyping_disable", True)
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _pad(values: np.ndarray) -> np.ndarray:
    """Two more entries along axis 1: -1 for ids, zeros for tokens."""
    fill = -1 if values.dtype == np.int64 else 0
    widths = [(0, 0), (0, 2), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, widths, constant_values=fill)
