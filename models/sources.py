"""Foreign weights as a checkpoint of ours: Meta's `.pth.tar`, a transformers `IJepaModel`, a timm model. No code in a file is run."""

import json
import math
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models import hub
from models.checkpoint import check_tensors
from models.config import SIZES, EncoderConfig, ModelConfig, PredictorConfig
from models.convert import count_blocks, from_meta_predictor, from_transformers, with_prefix, without_prefix
from models.errors import SourceError
from models.ijepa import IJEPA, PARTS
from models.preprocess import PixelRecipe
from models.progress import progress
from models.published import find_published

Preprocessing = Literal["trained", "upstream"]

META_PARTS = {"context_encoder": "encoder", "predictor": "predictor", "target_encoder": "target_encoder"}
META_SETTINGS = {
    "masking": {
        "name": "reference",
        "targets": 4,
        "target_scale": [0.15, 0.2],
        "target_aspect": [0.75, 1.5],
        "context_scale": [0.85, 1.0],
        "min_keep": 10,
    },
    "objective": {"distance": "smooth_l1", "beta": 1.0},
}
"""What every published configuration trained with."""
EVALUATION: dict[str, Any] = {"crop": 224 / 256, "interpolation": "bicubic"}
"""Preprocessing of the published evaluation, with the statistics of the training: ImageNet's, which a recipe has by default."""
TRANSFORMERS_FILES = ("config.json", "preprocessor_config.json", "README.md")
TRANSFORMERS_WEIGHTS = ("model*.safetensors", "model.safetensors.index.json")
TIMM = "timm:"
_Part = TypeVar("_Part", EncoderConfig, PredictorConfig, PixelRecipe)


class Imported(NamedTuple):
    """A network as read: its tensors under our names, what `training` of a checkpoint says of it, and what to tell the user."""

    config: ModelConfig
    tensors: dict[str, Tensor]
    training: dict[str, Any]
    notes: tuple[str, ...]


class _Read(NamedTuple):
    """What a reader found: tensors by part, and what the source itself states."""

    name: str
    parts: dict[str, dict[str, Tensor]]
    pixels: dict[str, Any]
    heads: int | None = None
    norm_eps: float = 1e-6
    licence: str | None = None
    notes: tuple[str, ...] = ()


def import_source(
    source: str, heads: int | None = None, preprocessing: Preprocessing = "trained", licence: str | None = None
) -> Imported:
    """Read a source whole and check every tensor.

    `heads` is for networks that the table of sizes does not have, and says so for those that only look as if it had them.
    `preprocessing` is what the network was trained and evaluated with, or what the source's own processor does.

    Raises:
        SourceError: nothing known, cut short, with code inside, of another network, or with numbers that are not finite.
    """
    read = _read(source, preprocessing)
    encoder = _encoder_config(read, heads)
    predictor = None
    if "predictor" in read.parts:
        tensors = read.parts["predictor"]
        width = _shape(tensors, "embed.weight", 2, read.name)[0]
        predictor = _checked(PredictorConfig, read.name, width=width, depth=count_blocks(tensors), heads=encoder.heads)
    if heads is None:
        _check_size(read.name, encoder, predictor)
    statistics = {} if encoder.channels == 3 else {"mean": (0.5,), "std": (0.5,)}
    given = {"size": encoder.image_size, "channels": encoder.channels, **statistics, **read.pixels}
    pixels = _checked(PixelRecipe, f"the preprocessing of {read.name}", **given)
    config = ModelConfig(encoder=encoder, predictor=predictor, pixels=pixels)
    tensors = {
        name: tensor for part in PARTS for name, tensor in with_prefix(read.parts.get(part, {}), f"{part}.").items()
    }
    with torch.device("meta"):
        network = IJEPA(config, [part for part in PARTS if part not in read.parts])
    check_tensors(network, tensors, read.name)
    _check_finite(tensors, read.name)
    published = find_published(read.name)
    training = {
        "recipe": f"imported from {read.name}",
        "trained_on": published.trained_on if published else "pictures that its file does not name",
        "licence": licence or (published and published.licence) or read.licence or "unspecified",
        "settings": META_SETTINGS,
    }
    notes = (_heads_note(encoder.heads, heads, read.heads), *read.notes)
    return Imported(config, {name: tensor.float() for name, tensor in tensors.items()}, training, notes)


def _read(source: str, preprocessing: Preprocessing) -> _Read:
    path = Path(source)
    if source.startswith(TIMM):
        return _read_timm(source.removeprefix(TIMM), preprocessing)
    if path.is_file():
        return _read_meta(path, preprocessing)
    if path.is_dir():
        return _read_transformers(path, path.resolve().name, preprocessing)
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source):
        _transformers_config(
            hub.download(source, TRANSFORMERS_FILES)
        )  # before gigabytes of another network are fetched
        folder = hub.download(source, (*TRANSFORMERS_FILES, *TRANSFORMERS_WEIGHTS))
        return _read_transformers(folder, source, preprocessing)
    raise SourceError(
        f"{source!r} is no file, no folder and no id; give Meta's .pth.tar, a folder or Hugging Face id (owner/name) of an "
        "IJepaModel, or timm:NAME"
    )


def _read_meta(path: Path, preprocessing: Preprocessing) -> _Read:
    """The published training checkpoint: `encoder`, `predictor`, `target_encoder`, each name behind `module.`."""
    try:
        if not zipfile.is_zipfile(path):
            raise SourceError(
                f"{path} is no checkpoint that torch wrote, or was cut short (its size is {path.stat().st_size:,} bytes); "
                "download it again"
            )
        document = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise SourceError(
            f"{path} holds more than tensors and plain values, and loading it would run code from the file; it was not loaded"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise SourceError(f"{path} cannot be read: {_first_line(error)}; download it again") from error
    found = document if isinstance(document, dict) else {}
    parts = {ours: found[theirs] for ours, theirs in META_PARTS.items() if _is_tensors(found.get(theirs))}
    if not parts.keys() & {"context_encoder", "target_encoder"}:
        raise SourceError(
            f"{path} has no I-JEPA inside: expected tensors under 'encoder', 'predictor' and 'target_encoder', "
            f"it has {_few(map(str, found)) or type(document).__name__}"
        )
    parts = {part: without_prefix(tensors, "module.") for part, tensors in parts.items()}
    if "predictor" in parts:
        parts["predictor"] = from_meta_predictor(parts["predictor"])
    notes: tuple[str, ...] = ()
    if "target_encoder" not in parts:
        parts["target_encoder"], notes = parts.pop("context_encoder"), (_one_encoder("one encoder ('encoder')"),)
    if preprocessing == "upstream":
        notes += ("Meta's files come with no processor: the preprocessing is that of the published evaluation",)
    name = path.name.removesuffix(".tar").removesuffix(".pth")
    return _Read(name, parts, EVALUATION, licence="CC-BY-NC-4.0", notes=notes)


def _read_transformers(folder: Path, name: str, preprocessing: Preprocessing) -> _Read:
    """A folder that `IJepaModel.save_pretrained` or `IJepaForImageClassification.save_pretrained` wrote."""
    config = _transformers_config(folder)
    tensors = without_prefix(_safetensors(folder), "ijepa.")
    ignored = [key for key in tensors if key.startswith(("classifier.", "pooler.", "embeddings.mask_token"))]
    kept = from_transformers({key: tensor for key, tensor in tensors.items() if key not in ignored})
    processor = folder / "preprocessor_config.json"
    pixels = _processor(processor) if preprocessing == "upstream" else EVALUATION | _statistics(processor)
    notes = [_one_encoder("one encoder (by its converter, Meta's context encoder)")]
    notes += [f"left out, being no part of the encoder: {_few(ignored)}"] if ignored else []
    heads, eps = config.get("num_attention_heads", 12), config.get("layer_norm_eps", 1e-12)
    return _Read(name, {"target_encoder": kept}, pixels, heads, eps, _licence_of(folder), tuple(notes))


def _transformers_config(folder: Path) -> dict[str, Any]:
    """The configuration of an I-JEPA that we can compute."""
    config = _json(folder / "config.json")
    if config.get("model_type") != "ijepa":
        raise SourceError(f"{folder} holds a model of type {config.get('model_type')!r}, expected 'ijepa'")
    side = config.get("image_size", 224)
    if isinstance(side, list) and len(set(side)) > 1:
        raise SourceError(
            f"{folder / 'config.json'} has image_size={side}; only square models can be imported (export has --size)"
        )
    for key, only in (("hidden_act", "gelu"), ("qkv_bias", True)):
        if config.get(key, only) != only:
            raise SourceError(f"{folder / 'config.json'} has {key}={config[key]!r}; I-JEPA is defined for {only!r}")
    return config


def _read_timm(name: str, preprocessing: Preprocessing) -> _Read:
    """A model of timm's, with its published weights (fetched, or from torch's cache)."""
    import timm
    from timm.models.vision_transformer import VisionTransformer

    try:
        model = timm.create_model(name, pretrained=True)
    except (RuntimeError, OSError, ValueError) as error:
        raise SourceError(f"timm cannot give {name!r} with its weights: {_first_line(error)}") from error
    if not isinstance(model, VisionTransformer):
        raise SourceError(f"timm's {name} is a {type(model).__name__}; expected a VisionTransformer")
    block: Any = model.blocks[0]
    if not isinstance(block.mlp.act, nn.GELU) or block.mlp.act.approximate != "none":
        raise SourceError(f"timm's {name} has the activation {block.mlp.act}; I-JEPA is defined for exact GELU")
    tensors = {key: tensor for key, tensor in model.state_dict().items() if not key.startswith("head.")}
    given: Any = model.pretrained_cfg
    pixels: dict[str, Any] = EVALUATION | _believed(given.get("mean"), given.get("std"))
    if preprocessing == "upstream":
        if given.get("crop_mode", "center") not in ("center", "squash"):
            raise SourceError(f"timm's {name} crops by {given['crop_mode']!r}, which no pixel recipe can say")
        pixels = {
            "fit": "squash" if given.get("crop_mode") == "squash" else "crop",
            "crop": given["crop_pct"],
            "interpolation": given["interpolation"],
            "whole_pixels": True,
            "mean": given["mean"],
            "std": given["std"],
        }
    notes = (_one_encoder("one encoder (Meta's context encoder)"),)
    norm: Any = model.norm
    return _Read(
        f"{TIMM}{name}",
        {"target_encoder": tensors},
        pixels,
        block.attn.num_heads,
        norm.eps,
        given.get("license"),
        notes,
    )


def _encoder_config(read: _Read, heads: int | None) -> EncoderConfig:
    """What the shapes say of an encoder. Heads have no shape: from the flag, from the source, or from the table by width."""
    tensors = read.parts["target_encoder"]
    _, patches, width = _shape(tensors, "pos_embed", 3, read.name)
    _, channels, patch, _ = _shape(tensors, "patch_embed.proj.weight", 4, read.name)
    hidden, _ = _shape(tensors, "blocks.0.mlp.fc1.weight", 2, read.name)
    side = math.isqrt(patches)
    if side * side != patches:
        raise SourceError(
            f"{read.name} has {patches} positions, which is no square grid (a class token would be one more)"
        )
    table = next((size.heads for size in SIZES.values() if size.width == width), None)
    if heads is None and read.heads and table and read.heads != table:
        raise SourceError(
            f"{read.name} says {read.heads} heads, an I-JEPA of width {width} has {table}: say which with --heads"
        )
    chosen = heads or read.heads or table
    if chosen is None:
        raise SourceError(
            f"{read.name} is {width} wide, which no size in the table is ({', '.join(str(s.width) for s in SIZES.values())}), "
            "and holds no number of heads: say it with --heads"
        )
    return _checked(
        EncoderConfig,
        read.name,
        width=width,
        depth=count_blocks(tensors),
        heads=chosen,
        hidden=hidden,
        patch_size=patch,
        grid=(side, side),
        channels=channels,
        norm_eps=read.norm_eps,
    )


def _check_size(name: str, encoder: EncoderConfig, predictor: PredictorConfig | None) -> None:
    """A file cut to fewer blocks looks whole but for the table: where the width is in it, so must be the depths."""
    rows = {key: size for key, size in SIZES.items() if size.width == encoder.width}
    given = (encoder.depth, predictor and predictor.depth)
    fitting = [size for size in rows.values() if size.depth == given[0] and given[1] in (None, size.predictor_depth)]
    if rows and not fitting:
        expected = " or ".join(f"{size.depth} and {size.predictor_depth} ({key})" for key, size in rows.items())
        raise SourceError(
            f"{name} is {encoder.width} wide and has {given[0]} blocks"
            + (f", its predictor {given[1]}" if given[1] else "")
            + f"; the table of sizes has {expected}. Blocks are missing, or it is another network: then say its heads with --heads"
        )


def _check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """A NaN or an infinity in weights would be one in every answer."""
    broken = []
    with progress(len(tensors), "checking", "tensors") as bar:
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                broken.append(name)
            bar.update()
    if broken:
        raise SourceError(f"{source} has numbers that are not finite in {_few(broken)}; nothing was written")


def _processor(path: Path) -> dict[str, Any]:
    """The pixel recipe of a transformers image processor."""
    given = _json(path)
    flags = {"do_resize": True, "do_rescale": True, "do_normalize": True, "do_center_crop": False}
    if wrong := [key for key, only in flags.items() if given.get(key) not in (only, None)]:
        raise SourceError(f"{path} has {_few(f'{key}={given[key]}' for key in wrong)}, which no pixel recipe can say")
    if abs(given.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-6:
        raise SourceError(f"{path} has rescale_factor={given['rescale_factor']}; a pixel recipe scales to 0..1")
    filters = {2: "bilinear", 3: "bicubic"}
    if given.get("resample", 2) not in filters:
        raise SourceError(f"{path} has resample={given['resample']}; a pixel recipe knows 2 (bilinear) and 3 (bicubic)")
    return {
        "fit": "squash",
        "interpolation": filters[given.get("resample", 2)],
        "mean": given.get("image_mean") or (0.5,) * 3,
        "std": given.get("image_std") or (0.5,) * 3,
    }


def _statistics(path: Path) -> dict[str, Any]:
    """Mean and deviation that an image processor has, unless they are its class's default of 0.5, with which nothing was trained."""
    given = _json(path) if path.is_file() else {}
    return _believed(given.get("image_mean"), given.get("image_std"))


def _believed(mean: object, std: object) -> dict[str, Any]:
    given = [value for value in (mean, std) if isinstance(value, list | tuple)]
    return (
        {} if len(given) < 2 or any(set(values) == {0.5} for values in given) else {"mean": given[0], "std": given[1]}
    )


def _safetensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a model folder, whether in one file or in shards."""
    index = folder / "model.safetensors.index.json"
    files = ["model.safetensors"]
    if index.is_file():
        shards = _json(index).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise SourceError(f"{index} has no weight_map, the list of the files that hold the tensors")
        files = sorted({str(file) for file in shards.values()})
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            tensors |= load_file(folder / Path(file).name)
        except (OSError, SafetensorError) as error:
            raise SourceError(f"{folder / file} cannot be read: {error}") from error
    return tensors


def _licence_of(folder: Path) -> str | None:
    """What the model card's header says."""
    import yaml  # type: ignore[import-untyped]
    from huggingface_hub import metadata_load

    card = folder / "README.md"
    try:
        found = (metadata_load(card) or {}).get("license") if card.is_file() else None
    except (yaml.YAMLError, ValueError, OSError):
        return None  # a page without a readable header states no licence
    return ", ".join(map(str, found)) if isinstance(found, list) else str(found) if found else None


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise SourceError(f"{path} holds a {type(document).__name__}, expected an object")
    return document


def _is_tensors(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(x, Tensor) for x in value.values())


def _shape(tensors: Mapping[str, Tensor], name: str, dims: int, source: str) -> tuple[int, ...]:
    """The shape of a tensor that every network of the kind has."""
    if name not in tensors:
        raise SourceError(f"{source} is no I-JEPA: it lacks {name}; it has {_few(tensors)}")
    if tensors[name].ndim != dims:
        raise SourceError(f"{source} is no I-JEPA: {name} has shape {list(tensors[name].shape)}, expected {dims} axes")
    return tuple(tensors[name].shape)


def _checked(kind: type[_Part], source: str, **fields: Any) -> _Part:
    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = f" ({'.'.join(map(str, first['loc']))})" if first["loc"] else ""
        raise SourceError(f"{source} cannot be used: {first['msg'].removeprefix('Value error, ')}{where}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _few(names: Any, most: int = 5) -> str:
    """The first of a list of names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _one_encoder(which: str) -> str:
    return f"the source has {which}, which fills the target encoder; without both encoders and a predictor it can encode, not predict"


def _heads_note(heads: int, flag: int | None, stated: int | None) -> str:
    origin = (
        "as --heads says" if flag else "as its configuration says" if stated else "from the table of sizes, by width"
    )
    return f"{heads} heads, {origin}"
