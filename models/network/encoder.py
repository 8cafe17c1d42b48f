"""The encoder: timm's Vision Transformer without class token, with fixed positions, over all patches or a subset.

A subclass, not a wrapper: its tensors have timm's names, so `target_encoder.*` of a checkpoint loads into timm.
"""

import math
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from timm.layers.attention import Attention as TimmAttention
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from models.config import EncoderConfig
from models.images.preprocess import Preprocessing


class Attention(TimmAttention):
    """timm's attention; on a CPU with plain products and softmax in float32, also under bfloat16 autocast.

    There the fused kernel is five to ten times slower than this in bfloat16, and up to twice as slow in float32 with the few
    tokens of a masked image (docs/experiments, step speed).
    """

    def forward(
        self, x: Float[Tensor, "B n d"], attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Float[Tensor, "B n d"]:
        if x.device.type != "cpu":
            return super().forward(x, attn_mask, is_causal)
        assert not is_causal, "no part of I-JEPA is causal"
        b, n, _ = x.shape
        q, k, v = self.qkv(x).float().view(b, n, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        with torch.autocast("cpu", enabled=False):
            weights = (q * self.scale) @ k.transpose(-2, -1)
            if attn_mask is not None:
                weights = weights.masked_fill(~attn_mask, torch.finfo(weights.dtype).min)
            out = weights.softmax(dim=-1) @ v
        return self.proj(out.transpose(1, 2).reshape(b, n, self.attn_dim))


class Encoder(VisionTransformer):
    """Pixels to tokens. `pos_embed` is a fixed table; see `sincos_positions`."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(
            img_size=config.image_size,
            patch_size=config.patch_size,
            in_chans=config.channels,
            num_classes=0,
            global_pool="",
            embed_dim=config.width,
            depth=config.depth,
            num_heads=config.heads,
            mlp_ratio=config.mlp_ratio,
            class_token=False,
            fc_norm=False,
            norm_layer=partial(nn.LayerNorm, eps=config.norm_eps),
            attn_layer=Attention,
            weight_init="skip",
        )
        self.config = config
        initialise(self)
        assert self.pos_embed is not None
        fix_positions(self.pos_embed, config.grid)

    def forward(  # type: ignore[override]
        self,
        pixels: Float[Tensor, "B C H W"],
        ids: Int64[Tensor, "B K"] | None = None,
        attn_mask: Bool[Tensor, "B 1 1 K"] | None = None,
    ) -> Float[Tensor, "B n D"]:
        """Tokens after the last norm, of all patches or of the patches `ids`; the others are dropped before the first block."""
        return self.norm(self.last_blocks(pixels, ids, attn_mask, last=1)[-1])

    def last_blocks(
        self,
        pixels: Float[Tensor, "B C H W"],
        ids: Int64[Tensor, "B K"] | None = None,
        attn_mask: Bool[Tensor, "B 1 1 K"] | None = None,
        *,
        last: int,
    ) -> list[Float[Tensor, "B n D"]]:
        """Tokens after each of the last `last` blocks, before the last norm."""
        x = self.patch_embed(pixels) + self.pos_embed
        if ids is not None:
            x = gather_tokens(x, ids)
        outputs: list[Tensor] = []
        for block in self.blocks:
            x = block(x, attn_mask=attn_mask)
            outputs = [*outputs, x][-last:]
        return outputs


def gather_tokens(x: Float[Tensor, "B N d"], ids: Int64[Tensor, "B K"]) -> Float[Tensor, "B K d"]:
    """The tokens `ids` of each image, by one flat index (an index expanded to the width exports badly to ONNX)."""
    b, n, d = x.shape
    offsets = torch.arange(b, device=ids.device).unsqueeze(1) * n
    return x.reshape(b * n, d)[(ids + offsets).reshape(-1)].view(b, ids.shape[1], d)


def normalise(pixels: UInt8[Tensor, "B H W C"], preprocessing: Preprocessing) -> Float32[Tensor, "B C H W"]:
    """Bytes to the input of the first layer: scaled to 0..1, minus the mean, divided by the standard deviation."""
    mean = torch.tensor(preprocessing.mean, dtype=torch.float32, device=pixels.device) * 255
    std = torch.tensor(preprocessing.std, dtype=torch.float32, device=pixels.device) * 255
    return ((pixels.to(torch.float32) - mean) / std).permute(0, 3, 1, 2)


def sincos_positions(
    grid: tuple[int, int], width: int, trained: tuple[int, int] | None = None
) -> Float32[np.ndarray, "N d"]:
    """The fixed position table of the published model: the first half of the width encodes the column, the second the row.

    Each half is sines, then cosines, of the integer coordinate times 10000^(-k / (width / 4)), computed in float64. With
    `trained`, the grid of the training, coordinates are the positions of the patch centres on that grid.
    """
    omega = 10000.0 ** (-np.arange(width // 4) / (width / 4))
    axes = np.indices(grid).reshape(2, -1, 1).astype(np.float64)
    if trained:
        scale = np.array(trained).reshape(2, 1, 1) / np.array(grid).reshape(2, 1, 1)
        axes = (axes + 0.5) * scale - 0.5
    rows, columns = axes
    parts = [f(axis * omega) for axis in (columns, rows) for f in (np.sin, np.cos)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def fix_positions(table: nn.Parameter, grid: tuple[int, int]) -> None:
    """Fill a parameter of shape [1, N, d] with the position table and exclude it from training."""
    with torch.no_grad():
        table.copy_(torch.from_numpy(sincos_positions(grid, table.shape[-1])))
    table.requires_grad_(False)


def initialise(module: nn.Module) -> None:
    """Draw every linear and convolution weight from a normal with standard deviation 1/sqrt(inputs); biases are 0.

    The published 0.02 is about 1/sqrt(inputs) at width 1280. At width 128 it would make the content of a patch ten times
    weaker than its position, and the targets nearly equal for all images (docs/decisions/0024).
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            inputs = layer.weight[0].numel()
            nn.init.trunc_normal_(layer.weight, std=1 / math.sqrt(inputs), a=-2, b=2)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
