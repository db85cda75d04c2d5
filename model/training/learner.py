"""What is trained: the encoder, and what only the objective sees of it: a linear head, or a decoder.

Contrastive losses discard what two views do not share. A head takes that damage upon itself, so that the embeddings
below it keep more (SimCLR, Chen et al. 2020); the public code has one too, and drops it afterwards.

Both read cells that `model.encoder.kernels.cells` gathered and normalised, in the type of the weights, and run the
trunk of `model.encoder.fused`.

Axes: B window of the batch, L patch of a window, K visible patch, P patch size, D width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.encoder import fused
from model.encoder.config import PatchKind
from model.encoder.vit import Encoder
from model.objectives.mae import MaeDecoder
from model.training.config import TrainConfig


class ModelWithHead(nn.Module):
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
            views: for each kind its (normalised cells `[B, K, P]`, visible `[B, K]`); K must be the same for all.

        Returns:
            For each kind `[B, D]`, D being `projection_width`.
        """
        tokens = _read(self.encoder, views)
        return {kind: self.linear_head(one.mean(dim=1)) for kind, one in tokens.items()}


class MaskedAutoencoder(nn.Module):
    """Encoder and decoder, initialised by `config.seed` alone; the encoder starts where a `Learner`'s does."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.encoder = Encoder(config.encoder)
            self.decoder = MaeDecoder(config.encoder)

    def forward(self, views: Mapping[PatchKind, tuple[Tensor, Tensor]]) -> dict[PatchKind, Float[Tensor, "B L P"]]:
        """Paint whole windows from visible patches, kind by kind.

        Args:
            views: for each kind its (normalised cells `[B, K, P]`, visible `[B, K]`), as `Learner` takes them.

        Returns:
            For each kind the cells of all patches.
        """
        return {
            kind: self.decoder(tokens, views[kind][1], self.encoder.embedding(kind).positions)
            for kind, tokens in _read(self.encoder, views).items()
        }


def _read(encoder: Encoder, views: Mapping[PatchKind, tuple[Tensor, Tensor]]) -> dict[PatchKind, Tensor]:
    """Tokens `[B, K, D]` of each kind, after one common pass through the trunk."""
    tokens = [encoder.embedding(kind).embed_cells(cells, visible) for kind, (cells, visible) in views.items()]
    both = fused.read(encoder.transformer, torch.cat(tokens))
    return dict(zip(views, torch.split(both, [len(one) for one in tokens]), strict=True))


def build(config: TrainConfig) -> ModelWithHead | MaskedAutoencoder:
    """What the run of `config` trains."""
    return MaskedAutoencoder(config) if config.objective.family == "mae" else ModelWithHead(config)
