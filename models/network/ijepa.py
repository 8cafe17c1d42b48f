"""I-JEPA: two encoders and a predictor (paper, figure 3)."""

from collections.abc import Collection

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.config import ModelConfig
from models.inference.prediction import TARGET_EPS
from models.network.encoder import Encoder, gather_tokens
from models.network.predictor import Predictor

PARTS = ("context_encoder", "predictor", "target_encoder")


class IJEPA(nn.Module):
    """The context encoder and the predictor are trained; the target encoder is an EMA of the context encoder.

    Imported weights may lack the parts named in `absent` (names of `PARTS`): the rest encodes, and predicts if none is absent.
    """

    context_encoder: Encoder
    predictor: Predictor
    target_encoder: Encoder

    def __init__(self, config: ModelConfig, absent: Collection[str] = ()) -> None:
        super().__init__()
        assert "target_encoder" not in absent, "all imported weights have a target encoder"
        self.config = config
        self.predicts = not absent
        if "context_encoder" not in absent:
            self.context_encoder = Encoder(config.encoder)
        if "predictor" not in absent:
            assert config.predictor is not None, "a network without predictor cannot be trained"
            self.predictor = Predictor(config.predictor, config.encoder)
        self.target_encoder = Encoder(config.encoder)
        if "context_encoder" not in absent:
            self.target_encoder.load_state_dict(self.context_encoder.state_dict())
        self.target_encoder.requires_grad_(False)

    @torch.no_grad()
    def encode_targets(
        self, pixels: Float[Tensor, "B C H W"], target_ids: Int64[Tensor, "B M T"]
    ) -> Float[Tensor, "B M T D"]:
        """The targets: the target encoder's tokens of the whole image, layer-normed, at the target patches."""
        b, m, t = target_ids.shape
        tokens = layer_norm_targets(self.target_encoder(pixels))
        return gather_tokens(tokens, target_ids.reshape(b, m * t)).view(b, m, t, -1)

    def encode_context(
        self, pixels: Float[Tensor, "B C H W"], context_ids: Int64[Tensor, "B K"]
    ) -> Float[Tensor, "B K D"]:
        """Tokens of the context patches, which attend to one another and to nothing else of the image."""
        return self.context_encoder(pixels, context_ids)

    def predict(
        self,
        context_tokens: Float[Tensor, "B K D"],
        context_ids: Int64[Tensor, "B K"],
        target_ids: Int64[Tensor, "B M T"],
    ) -> Float[Tensor, "B M T D"]:
        """Predict each target block on its own from the same context."""
        b, m, t = target_ids.shape
        predicted = self.predictor(
            context_tokens.repeat_interleave(m, dim=0),
            context_ids.repeat_interleave(m, dim=0),
            target_ids.reshape(b * m, t),
        )
        return predicted.view(b, m, t, -1)


def layer_norm_targets(tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
    """The space of predictions: each token with mean 0 and variance 1 over its dimensions, without weights."""
    return F.layer_norm(tokens.float(), tokens.shape[-1:], eps=TARGET_EPS)
