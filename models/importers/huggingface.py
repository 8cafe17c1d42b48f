"""Models of transformers' `IJepaModel`, a folder or a repository of the hub: one encoder, and an image processor."""

import json
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from models.bundle import hub
from models.errors import ImporterError
from models.importers.base import (
    EVALUATION,
    ForeignWeights,
    Importer,
    PreprocessingChoice,
    one_encoder,
    shorten,
    trusted_statistics,
)
from models.importers.tensor_names import from_transformers, without_prefix

FILES = ("config.json", "preprocessor_config.json", "README.md")
WEIGHTS = ("model*.safetensors", "model.safetensors.index.json")


def accepts_hugging_face(source: str) -> bool:
    """Whether a source is a folder, or has the form `owner/name`."""
    return Path(source).is_dir() or re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source) is not None


def read_hugging_face(source: str, preprocessing: PreprocessingChoice) -> ForeignWeights:
    """Read a folder, or a repository: its configuration is checked before gigabytes of another network are downloaded.

    Raises:
        ImporterError: another architecture, or files that cannot be read.
        HubError: the repository cannot be fetched.
    """
    if Path(source).is_dir():
        return read_folder(Path(source), Path(source).resolve().name, preprocessing)
    _config(hub.download(source, FILES))
    return read_folder(hub.download(source, (*FILES, *WEIGHTS)), source, preprocessing)


def read_folder(folder: Path, name: str, preprocessing: PreprocessingChoice) -> ForeignWeights:
    """Read what `IJepaModel.save_pretrained` or `IJepaForImageClassification.save_pretrained` wrote."""
    config = _config(folder)
    tensors = without_prefix(_safetensors(folder), "ijepa.")
    ignored = [key for key in tensors if key.startswith(("classifier.", "pooler.", "embeddings.mask_token"))]
    kept = from_transformers({key: tensor for key, tensor in tensors.items() if key not in ignored})
    processor = folder / "preprocessor_config.json"
    pixels = _processor(processor) if preprocessing == "upstream" else EVALUATION | _statistics(processor)
    notes = [one_encoder("one encoder (by its converter, Meta's context encoder)")]
    notes += [f"ignored, not part of the encoder: {shorten(ignored)}"] if ignored else []
    heads, eps = config.get("num_attention_heads", 12), config.get("layer_norm_eps", 1e-12)
    return ForeignWeights(name, {"target_encoder": kept}, pixels, heads, eps, _licence_of(folder), notes=tuple(notes))


def _config(folder: Path) -> dict[str, Any]:
    """The configuration of the model, checked against what can be computed here."""
    config = _json(folder / "config.json")
    if config.get("model_type") != "ijepa":
        raise ImporterError(f"{folder} is a model of type {config.get('model_type')!r}, expected 'ijepa'")
    side = config.get("image_size", 224)
    if isinstance(side, list) and len(set(side)) > 1:
        raise ImporterError(
            f"{folder / 'config.json'} has image_size={side}; only square models can be imported (export has --size)"
        )
    for key, only in (("hidden_act", "gelu"), ("qkv_bias", True)):
        if config.get(key, only) != only:
            raise ImporterError(f"{folder / 'config.json'} has {key}={config[key]!r}; I-JEPA is defined for {only!r}")
    return config


def _processor(path: Path) -> dict[str, Any]:
    """The preprocessing of a transformers image processor, as fields of `Preprocessing`."""
    given = _json(path)
    flags = {"do_resize": True, "do_rescale": True, "do_normalize": True, "do_center_crop": False}
    if wrong := [key for key, only in flags.items() if given.get(key) not in (only, None)]:
        raise ImporterError(f"{path} has {shorten(f'{key}={given[key]}' for key in wrong)}, which is not supported")
    if abs(given.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-6:
        raise ImporterError(f"{path} has rescale_factor={given['rescale_factor']}, expected 1/255")
    filters = {2: "bilinear", 3: "bicubic"}
    if given.get("resample", 2) not in filters:
        raise ImporterError(f"{path} has resample={given['resample']}, expected 2 (bilinear) or 3 (bicubic)")
    return {
        "fit": "squash",
        "interpolation": filters[given.get("resample", 2)],
        "mean": given.get("image_mean") or (0.5,) * 3,
        "std": given.get("image_std") or (0.5,) * 3,
    }


def _statistics(path: Path) -> dict[str, Any]:
    """Mean and standard deviation of an image processor, where they are not its defaults."""
    given = _json(path) if path.is_file() else {}
    return trusted_statistics(given.get("image_mean"), given.get("image_std"))


def _safetensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a model folder, from one file or from shards."""
    index = folder / "model.safetensors.index.json"
    files = ["model.safetensors"]
    if index.is_file():
        shards = _json(index).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise ImporterError(f"{index} has no weight_map, the list of the files that hold the tensors")
        files = sorted({str(file) for file in shards.values()})
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            tensors |= load_file(folder / Path(file).name)
        except (OSError, SafetensorError) as error:
            raise ImporterError(f"{folder / file} cannot be read: {error}") from error
    return tensors


def _licence_of(folder: Path) -> str | None:
    """The licence in the header of the model card."""
    import yaml  # type: ignore[import-untyped]
    from huggingface_hub import metadata_load

    card = folder / "README.md"
    try:
        header = (metadata_load(card) or {}) if card.is_file() else {}
    except (yaml.YAMLError, ValueError, OSError):
        return None  # a card without a readable header states no licence
    found = header.get("license")
    if found == "other":
        found = header.get("license_name", found)
    return ", ".join(map(str, found)) if isinstance(found, list) else str(found) if found else None


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ImporterError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ImporterError(f"{path} holds a {type(document).__name__}, expected an object")
    return document


HUGGING_FACE = Importer(
    "a folder or Hugging Face id (owner/name) of an IJepaModel", accepts_hugging_face, read_hugging_face
)
