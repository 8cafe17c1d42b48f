"""Tensor names of the published layouts <-> ours. Our names are timm's; Meta's predictor and transformers need a table."""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

META_PREDICTOR = {
    "predictor_embed": "embed",
    "predictor_pos_embed": "pos_embed",
    "predictor_blocks": "blocks",
    "predictor_norm": "norm",
    "predictor_proj": "proj",
}
"""First part of a name in the published predictor, and ours. All other names, as `mask_token`, are the same."""

TRANSFORMERS = {
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "blocks.{i}.norm1": "encoder.layer.{i}.layernorm_before",
    "blocks.{i}.attn.qkv": "encoder.layer.{i}.attention.attention.{qkv}",
    "blocks.{i}.attn.proj": "encoder.layer.{i}.attention.output.dense",
    "blocks.{i}.norm2": "encoder.layer.{i}.layernorm_after",
    "blocks.{i}.mlp.fc1": "encoder.layer.{i}.intermediate.dense",
    "blocks.{i}.mlp.fc2": "encoder.layer.{i}.output.dense",
    "norm": "layernorm",
}
"""Our name, and that of `IJepaModel`. Our fused `qkv` is three tensors there."""
QKV = ("query", "key", "value")
_TO_TRANSFORMERS = [
    (re.compile(ours.replace(".", r"\.").replace("{i}", r"(\d+)") + r"(\.\w+)?"), theirs)
    for ours, theirs in TRANSFORMERS.items()
]
_FROM_TRANSFORMERS = [
    (
        re.compile(
            theirs.replace(".", r"\.").replace("{i}", r"(?P<i>\d+)").replace("{qkv}", f"(?P<qkv>{'|'.join(QKV)})")
            + r"(?P<end>\.\w+)?"
        ),
        ours,
    )
    for ours, theirs in TRANSFORMERS.items()
]


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors by their names without a prefix; a name may lack it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors by their names with a prefix."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def from_meta_predictor(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published names of the predictor to ours."""
    renamed = {}
    for name, tensor in tensors.items():
        first, dot, rest = name.partition(".")
        renamed[META_PREDICTOR.get(first, first) + dot + rest] = tensor
    return renamed


def from_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Transformers' names to ours. A name that is not in the table is kept, and then reported as unexpected."""
    renamed: dict[str, Tensor] = {}
    fused: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        for pattern, ours in _FROM_TRANSFORMERS:
            if match := pattern.fullmatch(name):
                parts = match.groupdict()
                new = ours.replace("{i}", parts.get("i") or "") + (parts["end"] or "")
                if which := parts.get("qkv"):
                    fused.setdefault(new, {})[which] = tensor
                else:
                    renamed[new] = tensor
                break
        else:
            renamed[name] = tensor
    for name, thirds in fused.items():
        if thirds.keys() == set(QKV):
            renamed[name] = torch.cat([thirds[which] for which in QKV])
    return renamed


def to_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names of an encoder to transformers'."""
    renamed = {}
    for name, tensor in tensors.items():
        pattern, theirs = next((p, t) for p, t in _TO_TRANSFORMERS if p.fullmatch(name))
        match = pattern.fullmatch(name)
        assert match is not None
        *index, end = match.groups()
        new = theirs.replace("{i}", index[0] if index else "") + (end or "")
        if "{qkv}" in new:
            for which, third in zip(QKV, tensor.chunk(3), strict=True):
                renamed[new.replace("{qkv}", which)] = third.clone()
        else:
            renamed[new] = tensor
    return renamed


def count_blocks(names: Iterable[str]) -> int:
    """The number of blocks in a network's tensor names: the highest index plus one."""
    return 1 + max((int(name.split(".")[1]) for name in names if re.match(r"blocks\.\d{1,4}\.", name)), default=-1)
