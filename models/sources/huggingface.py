"""Folders of transformers' `IJepaModel`, from disk or from the hub: one encoder, and an image processor."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from models import hub
from models.convert import from_transformers, without_prefix
from models.errors import SourceError
from models.sources.reading import EVALUATION, Preprocessing, Read, believed, few, one_encoder

FILES = ("config.json", "preprocessor_config.json", "README.md")
WEIGHTS = ("model*.safetensors", "model.safetensors.index.json")


def read_hub(repo: str, preprocessing: Preprocessing) -> Read:
    """A repository of such a folder. Its configuration is looked at before gigabytes of another network are fetched."""
    _config(hub.download(repo, FILES))
    return read_folder(hub.download(repo, (*FILES, *WEIGHTS)), repo, preprocessing)


def read_folder(folder: Path, name: str, preprocessing: Preprocessing) -> Read:
    """A folder that `IJepaModel.save_pretrained` or `IJepaForImageClassification.save_pretrained` wrote."""
    config = _config(folder)
    tensors = without_prefix(_safetensors(folder), "ijepa.")
    ignored = [key for key in tensors if key.startswith(("classifier.", "pooler.", "embeddings.mask_token"))]
    kept = from_transformers({key: tensor for key, tensor in tensors.items() if key not in ignored})
    processor = folder / "preprocessor_config.json"
    pixels = _processor(processor) if preprocessing == "upstream" else EVALUATION | _statistics(processor)
    notes = [one_encoder("one encoder (by its converter, Meta's context encoder)")]
    notes += [f"left out, being no part of the encoder: {few(ignored)}"] if ignored else []
    heads, eps = config.get("num_attention_heads", 12), config.get("layer_norm_eps", 1e-12)
    return Read(name, {"target_encoder": kept}, pixels, heads, eps, _licence_of(folder), notes=tuple(notes))


def _config(folder: Path) -> dict[str, Any]:
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


def _processor(path: Path) -> dict[str, Any]:
    """The pixel recipe of a transformers image processor."""
    given = _json(path)
    flags = {"do_resize": True, "do_rescale": True, "do_normalize": True, "do_center_crop": False}
    if wrong := [key for key, only in flags.items() if given.get(key) not in (only, None)]:
        raise SourceError(f"{path} has {few(f'{key}={given[key]}' for key in wrong)}, which no pixel recipe can say")
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
    """Mean and deviation that an image processor has."""
    given = _json(path) if path.is_file() else {}
    return believed(given.get("image_mean"), given.get("image_std"))


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
        header = (metadata_load(card) or {}) if card.is_file() else {}
    except (yaml.YAMLError, ValueError, OSError):
        return None  # a page without a readable header states no licence
    found = header.get("license")
    if found == "other":
        found = header.get("license_name", found)
    return ", ".join(map(str, found)) if isinstance(found, list) else str(found) if found else None


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise SourceError(f"{path} holds a {type(document).__name__}, expected an object")
    return document
