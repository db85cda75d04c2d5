"""What is trained: the encoder, and what only the objective sees of it: a linear head, or a decoder.

Contrastive losses discard what two views do not share. A head takes that damage upon itself, so that the embeddings
below it keep more (SimCLR, Chen et al. 2020); the public code has one too, and drops it afterwards.

Axes: B window of the batch, L patch of a window, K visible patch, P patch size, D width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.encoder.config import PatchKind
from model.encoder.vit import Encoder
from model.objectives.mae import Decoder
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


class Autoencoder(nn.Module):
    """Encoder and decoder, initialised by `config.seed` alone; the encoder starts where a `Learner`'s does."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.encoder = Encoder(config.encoder)
            self.decoder = Decoder(config.encoder)

    def forward(self, views: Mapping[PatchKind, tuple[Tensor, Tensor]]) -> dict[PatchKind, Float[Tensor, "B L P"]]:
        """Paint whole windows from visible patches, kind by kind.

        Args:
            views: for each kind its (patches `[B, K, P]`, visible `[B, K]`), as `Learner` takes them.

        Returns:
            For each kind the cells of all patches; in bfloat16 under bf16 autocast.
        """
        painted = {}
        for kind, (patches, visible) in views.items():
            embedding = self.encoder.embedding(kind)
            tokens = self.encoder.transformer(embedding.embed(patches, visible))
            painted[kind] = self.decoder(tokens, visible, embedding.positions)
        return painted


def build(config: TrainConfig) -> Learner | Autoencoder:
    """What the run of `config` trains."""
    return Autoencoder(config) if config.objective.family == "mae" else Learner(config)
