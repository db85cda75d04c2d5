"""What is trained: the encoder, and the linear head that only the loss sees.

Contrastive losses discard what two views do not share. A head takes that damage upon itself, so that the embeddings
below it keep more (SimCLR, Chen et al. 2020); the public code has one too, and drops it afterwards.

Axes: B window of the batch, K visible token, P patch size, D width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.encoder.config import PatchKind
from model.encoder.vit import Encoder
from model.training.config import TrainConfig


class Learner(nn.Module):
    """Encoder and head, initialised by `config.seed` alone."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.encoder = Encoder(config.encoder)
            self.linear_head = nn.Linear(config.encoder.width, config.projection_width)

    def forward(self, views: Mapping[PatchKind, tuple[Tensor, Tensor]]) -> dict[PatchKind, Float[Tensor, "B D"]]:
        """Project the embeddings of visible patches, kind by kind.

        Args:
            views: for each kind its (patches `[B, K, P]`, visible `[B, K]`), as `Encoder.embed_visible_kinds` takes.

        Returns:
            For each kind `[B, D]`, D being `projection_width`; in bfloat16 under bf16 autocast.
        """
        return {kind: self.linear_head(one) for kind, one in self.encoder.embed_visible_kinds(views).items()}
