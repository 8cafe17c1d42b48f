"""Models of transformers' `IJepaModel`, a folder or a repository of the hub: one encoder, and an image processor."""

import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError
from torch import Tensor

from models.bundle import hub
from models.checkpoint.store import read_tensors
from models.config import Heads
from models.errors import ImporterError, short_repr, validation_sentence
from models.importers.base import (
    EVALUATION,
    ForeignWeights,
    Importer,
    PreprocessingChoice,
    one_encoder,
    shorten,
    trusted_statistics,
)
from models.importers.card_header import read_header
from models.importers.tensor_names import from_transformers, without_prefix
from models.io import read_json

_Record = TypeVar("_Record", bound=BaseModel)

FILES = ("config.json", "preprocessor_config.json", "README.md")
WEIGHTS = ("model*.safetensors", "model.safetensors.index.json")
MAX_LICENCE = 200
"""Characters of a licence's name."""


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
    _read_configuration(hub.download(source, FILES))
    return read_folder(hub.download(source, (*FILES, *WEIGHTS)), source, preprocessing)


def read_folder(folder: Path, name: str, preprocessing: PreprocessingChoice) -> ForeignWeights:
    """Read what `IJepaModel.save_pretrained` or `IJepaForImageClassification.save_pretrained` wrote."""
    config = _read_configuration(folder)
    tensors = without_prefix(_safetensors(folder), "ijepa.")
    ignored = [key for key in tensors if key.startswith(("classifier.", "pooler.", "embeddings.mask_token"))]
    set_aside = frozenset(ignored)
    kept = from_transformers({key: tensor for key, tensor in tensors.items() if key not in set_aside})
    processor = folder / "preprocessor_config.json"
    pixels = _read_processor(processor) if preprocessing == "upstream" else EVALUATION | _statistics(processor)
    notes = [one_encoder("one encoder (by its converter, Meta's context encoder)")]
    notes += [f"ignored, not part of the encoder: {shorten(ignored)}"] if ignored else []
    heads, eps, licence = config.num_attention_heads, config.layer_norm_eps, _licence_of(folder)
    return ForeignWeights(name, {"target_encoder": kept}, pixels, heads, eps, licence, notes=tuple(notes))


class _Configuration(BaseModel):
    """What is used of a model's `config.json`; defaults are those of `IJepaConfig`."""

    image_size: int | Annotated[list[int], Field(max_length=2)] = 224
    hidden_act: str = "gelu"
    qkv_bias: bool = True
    num_attention_heads: Heads = 12
    layer_norm_eps: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-12


Statistics = Annotated[tuple[float, ...], Field(max_length=3)] | float | None


class _Processor(BaseModel):
    """What is used of a `preprocessor_config.json`; None is the default of `ViTImageProcessor`."""

    do_resize: bool | None = True
    do_rescale: bool | None = True
    do_normalize: bool | None = True
    do_center_crop: bool | None = False
    rescale_factor: float | None = None
    resample: int | None = None
    image_mean: Statistics = None
    image_std: Statistics = None


def _read_configuration(folder: Path) -> _Configuration:
    """The configuration of the model, checked against what can be computed here."""
    path = folder / "config.json"
    document = _json(path)
    if document.get("model_type") != "ijepa":
        raise ImporterError(f"{folder} is a model of type {short_repr(document.get('model_type'))}, expected 'ijepa'")
    config = _validated(_Configuration, document, path)
    side = config.image_size
    if isinstance(side, list) and len(set(side)) > 1:
        raise ImporterError(f"{path} has image_size={side}; only square models can be imported (export has --size)")
    for key, given, only in (("hidden_act", config.hidden_act, "gelu"), ("qkv_bias", config.qkv_bias, True)):
        if given != only:
            raise ImporterError(f"{path} has {key}={short_repr(given)}; I-JEPA is defined for {only!r}")
    return config


def _read_processor(path: Path) -> dict[str, Any]:
    """The preprocessing of a transformers image processor, as fields of `Preprocessing`."""
    given = _validated(_Processor, _json(path), path)
    flags = {"do_resize": True, "do_rescale": True, "do_normalize": True, "do_center_crop": False}
    if wrong := [
        f"{key}={getattr(given, key)}" for key, only in flags.items() if getattr(given, key) not in (only, None)
    ]:
        raise ImporterError(f"{path} has {', '.join(wrong)}, which is not supported")
    if given.rescale_factor is not None and not abs(given.rescale_factor - 1 / 255) <= 1e-6:
        raise ImporterError(f"{path} has rescale_factor={given.rescale_factor}, expected 1/255")
    filters = {None: "bilinear", 2: "bilinear", 3: "bicubic"}
    if given.resample not in filters:
        raise ImporterError(f"{path} has resample={given.resample}, expected 2 (bilinear) or 3 (bicubic)")
    return {
        "fit": "squash",
        "interpolation": filters[given.resample],
        "mean": given.image_mean or (0.5,) * 3,
        "std": given.image_std or (0.5,) * 3,
    }


def _statistics(path: Path) -> dict[str, Any]:
    """Mean and standard deviation of an image processor, where they are not its defaults."""
    given = _validated(_Processor, _json(path) if path.is_file() else {}, path)
    return trusted_statistics(given.image_mean, given.image_std)


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
            tensors |= read_tensors(folder / Path(file).name)
        except (OSError, ValueError, SafetensorError) as error:
            raise ImporterError(f"{folder / file} cannot be read: {error}") from error
    return tensors


def _licence_of(folder: Path) -> str | None:
    """The licence in the header of the model card; None where there is none, or it cannot be read."""
    try:
        header = read_header(folder / "README.md")
    except (OSError, ValueError):
        return None
    found = header.get("license")
    if found == "other":
        found = header.get("license_name", found)
    licence = ", ".join(map(str, found)) if isinstance(found, list) else str(found) if found else ""
    return licence[:MAX_LICENCE] or None


def _validated(kind: type[_Record], document: dict[str, Any], path: Path) -> _Record:
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise ImporterError(f"{path} cannot be used: {validation_sentence(error)}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path)
    except (OSError, ValueError) as error:
        raise ImporterError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ImporterError(f"{path} holds a {type(document).__name__}, expected an object")
    return document


HUGGING_FACE = Importer(
    "a folder or Hugging Face id (owner/name) of an IJepaModel", accepts_hugging_face, read_hugging_face
)
