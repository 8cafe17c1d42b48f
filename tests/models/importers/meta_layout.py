"""The published training checkpoint, made anew from its description at any size, and its arithmetic written out plainly."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from models.network.encoder import sincos_positions

Tensors = dict[str, Tensor]


def transformer(draw: torch.Generator, blocks: str, depth: int, width: int, hidden: int) -> Tensors:
    """Random blocks under their published names."""
    shapes = {
        "norm1.weight": (width,), "norm1.bias": (width,), "norm2.weight": (width,), "norm2.bias": (width,),
        "attn.qkv.weight": (3 * width, width), "attn.qkv.bias": (3 * width,),
        "attn.proj.weight": (width, width), "attn.proj.bias": (width,),
        "mlp.fc1.weight": (hidden, width), "mlp.fc1.bias": (hidden,),
        "mlp.fc2.weight": (width, hidden), "mlp.fc2.bias": (width,),
    }  # fmt: skip
    return {
        f"{blocks}.{i}.{name}": 0.1 * torch.randn(shape, generator=draw) + (1.0 if name.endswith("norm1.weight") else 0)
        for i in range(depth)
        for name, shape in shapes.items()
    }


def encoder(seed: int, grid: int, patch: int, width: int, depth: int, hidden: int) -> Tensors:
    """A random encoder."""
    draw = torch.Generator().manual_seed(seed)
    return {
        "pos_embed": torch.from_numpy(sincos_positions((grid, grid), width))[None],
        "patch_embed.proj.weight": 0.1 * torch.randn(width, 3, patch, patch, generator=draw),
        "patch_embed.proj.bias": torch.randn(width, generator=draw),
        **transformer(draw, "blocks", depth, width, hidden),
        "norm.weight": torch.rand(width, generator=draw) + 0.5,
        "norm.bias": torch.randn(width, generator=draw),
    }


def predictor(seed: int, grid: int, width: int, depth: int, outer: int) -> Tensors:
    """A random predictor."""
    draw = torch.Generator().manual_seed(seed)
    return {
        "mask_token": torch.randn(1, 1, width, generator=draw),
        "predictor_embed.weight": 0.2 * torch.randn(width, outer, generator=draw),
        "predictor_embed.bias": torch.randn(width, generator=draw),
        "predictor_pos_embed": torch.from_numpy(sincos_positions((grid, grid), width))[None],
        **transformer(draw, "predictor_blocks", depth, width, 4 * width),
        "predictor_norm.weight": torch.rand(width, generator=draw) + 0.5,
        "predictor_norm.bias": torch.randn(width, generator=draw),
        "predictor_proj.weight": 0.2 * torch.randn(outer, width, generator=draw),
        "predictor_proj.bias": torch.randn(outer, generator=draw),
    }


def document(
    grid: int = 4, patch: int = 4, width: int = 40, depth: int = 5, hidden: int = 160, narrow: int = 20
) -> dict[str, object]:
    """All that such a file holds, with different values in the two encoders."""
    parts = {
        "encoder": encoder(1, grid, patch, width, depth, hidden),
        "predictor": predictor(2, grid, narrow, 3, width),
        "target_encoder": encoder(3, grid, patch, width, depth, hidden),
    }
    return {
        **{part: {f"module.{name}": tensor for name, tensor in tensors.items()} for part, tensors in parts.items()},
        "opt": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999)}]},
        "scaler": None, "epoch": 299, "loss": 0.1, "batch_size": 128, "world_size": 16, "lr": 1e-3,
    }  # fmt: skip


def write(path: Path, content: dict[str, object]) -> Path:
    """Save it as Meta's code does."""
    torch.save(content, path)
    return path


def encode(tensors: Tensors, pixels: Tensor, heads: int, ids: Tensor | None = None) -> Tensor:
    """What the published encoder computes, of all patches or of those kept."""
    kernel, bias = tensors["patch_embed.proj.weight"], tensors["patch_embed.proj.bias"]
    x = F.conv2d(pixels, kernel, bias, stride=kernel.shape[-1])
    x = x.flatten(2).transpose(1, 2) + tensors["pos_embed"]
    if ids is not None:
        x = torch.stack([row[kept] for row, kept in zip(x, ids, strict=True)])
    return norm(run_blocks(tensors, "blocks", x, heads), tensors, "norm")


def predict(tensors: Tensors, context: Tensor, context_ids: Tensor, target_ids: Tensor, heads: int) -> Tensor:
    """What the published predictor says of one target block an image."""
    positions = tensors["predictor_pos_embed"][0]
    x = F.linear(context, tensors["predictor_embed.weight"], tensors["predictor_embed.bias"]) + positions[context_ids]
    x = run_blocks(tensors, "predictor_blocks", torch.cat([x, tensors["mask_token"] + positions[target_ids]], 1), heads)
    x = norm(x, tensors, "predictor_norm")[:, context_ids.shape[1] :]
    return F.linear(x, tensors["predictor_proj.weight"], tensors["predictor_proj.bias"])


def run_blocks(tensors: Tensors, blocks: str, x: Tensor, heads: int) -> Tensor:
    """Pre-norm blocks, attention and exact GELU written out."""
    depth = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith(f"{blocks}."))
    for i in range(depth):
        block = {
            name.removeprefix(f"{blocks}.{i}."): t for name, t in tensors.items() if name.startswith(f"{blocks}.{i}.")
        }
        h = F.linear(norm(x, block, "norm1"), block["attn.qkv.weight"], block["attn.qkv.bias"])
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in h.chunk(3, dim=-1))
        h = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1) @ v
        x = x + F.linear(h.transpose(1, 2).flatten(2), block["attn.proj.weight"], block["attn.proj.bias"])
        h = F.gelu(F.linear(norm(x, block, "norm2"), block["mlp.fc1.weight"], block["mlp.fc1.bias"]))
        x = x + F.linear(h, block["mlp.fc2.weight"], block["mlp.fc2.bias"])
    return x


def norm(x: Tensor, tensors: Tensors, name: str) -> Tensor:
    """LayerNorm with the published epsilon."""
    return F.layer_norm(x, x.shape[-1:], tensors[f"{name}.weight"], tensors[f"{name}.bias"], eps=1e-6)
