"""The predictor: from context tokens and the positions of a target block to the tokens of that block."""

from functools import partial

import torch
from jaxtyping import Bool, Float, Int64
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from models.config import EncoderConfig, PredictorConfig
from models.network.encoder import Attention, fix_positions, initialise

LayerNorm = partial(nn.LayerNorm, eps=1e-6)


class Predictor(nn.Module):
    """A narrow transformer (paper section 3 and appendix A.1). One row of its batch is one target block of one image."""

    def __init__(self, config: PredictorConfig, encoder: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Linear(encoder.width, config.width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, encoder.patches, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, qkv_bias=True, norm_layer=LayerNorm, attn_layer=Attention)  # type: ignore[arg-type]
            for _ in range(config.depth)
        )
        self.norm = LayerNorm(config.width)
        self.proj = nn.Linear(config.width, encoder.width)
        initialise(self)
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        fix_positions(self.pos_embed, encoder.grid)

    def forward(
        self,
        context_tokens: Float[Tensor, "B K D"],
        context_ids: Int64[Tensor, "B K"],
        target_ids: Int64[Tensor, "B T"],
        attn_mask: Bool[Tensor, "B 1 1 S"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Predicted tokens in the space of layer-normed targets. S is K + T."""
        positions = self.pos_embed[0]
        context = self.embed(context_tokens) + positions[context_ids]
        queries = self.mask_token + positions[target_ids]
        x = torch.cat([context, queries], dim=1)
        for block in self.blocks:
            x = block(x, attn_mask=attn_mask)
        return self.proj(self.norm(x[:, context_ids.shape[1] :]))
