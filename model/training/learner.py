"""The trained model: the encoder, and a projection head or a decoder that only the objective uses.

A contrastive loss discards what two views do not share. The projection head absorbs this loss of information, so that
the embeddings before it keep more (SimCLR, Chen et al. 2020). The public code also has a head and drops it after
training.

Both models read cells that `model.encoder.kernels.cells` gathered and normalized, in the type of the weights. Both run
the trunk of `model.encoder.fused`.

Axes: B window of the batch, L patch of a window, K visible patch, P patch size, D width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.encoder import fused, weight_checks
from model.encoder.config import PatchKind
from model.encoder.vit import Encoder
from model.objectives.mae import MaeDecoder, decoder_shapes
from model.training.config import TrainConfig


class ModelWithHead(nn.Module):
    """Encoder and projection head, initialized by `config.seed` alone."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.encoder = Encoder(config.encoder)
            self.linear_head = nn.Linear(config.encoder.width, config.projection_width)

    def forward(self, views: Mapping[PatchKind, tuple[Tensor, Tensor]]) -> dict[PatchKind, Float[Tensor, "B D"]]:
        """Project the embeddings of the visible patches of each patch kind.

        Args:
            views: (normalized cells `[B, K, P]`, indices of the visible patches `[B, K]`) of each patch kind. K must be
                the same for all kinds.

        Returns:
            Projections `[B, D]` of each patch kind, where D is `projection_width`.
        """
        tokens = _embed_visible(self.encoder, views)
        return {kind: self.linear_head(of_kind.mean(dim=1)) for kind, of_kind in tokens.items()}


class MaskedAutoencoder(nn.Module):
    """Encoder and decoder, initialized by `config.seed` alone; the encoder starts like that of `ModelWithHead`."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.encoder = Encoder(config.encoder)
            self.decoder = MaeDecoder(config.encoder)

    def forward(self, views: Mapping[PatchKind, tuple[Tensor, Tensor]]) -> dict[PatchKind, Float[Tensor, "B L P"]]:
        """Predict the cells of all patches from the visible patches, for each patch kind.

        Args:
            views: (normalized cells `[B, K, P]`, indices of the visible patches `[B, K]`) of each patch kind, as for
                `ModelWithHead`.

        Returns:
            Predicted cells `[B, L, P]` of each patch kind.
        """
        return {
            kind: self.decoder(tokens, views[kind][1], self.encoder.embedding(kind).positions)
            for kind, tokens in _embed_visible(self.encoder, views).items()
        }


def shapes(config: TrainConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of the model that `build_model` builds, without building it."""
    sizes = weight_checks.encoder_shapes(config.encoder)
    weights = {f"encoder.{name}": shape for name, shape in sizes.items()}
    if config.objective.family != "mae":
        width, output = config.encoder.width, config.projection_width
        return {**weights, "linear_head.weight": (output, width), "linear_head.bias": (output,)}
    return weights | {f"decoder.{name}": shape for name, shape in decoder_shapes(config.encoder).items()}


def _embed_visible(encoder: Encoder, views: Mapping[PatchKind, tuple[Tensor, Tensor]]) -> dict[PatchKind, Tensor]:
    """Return the tokens `[B, K, D]` of each patch kind after one common pass through the trunk."""
    tokens = [fused.embed(encoder.embedding(kind), cells, visible) for kind, (cells, visible) in views.items()]
    if len(tokens) == 1:  # joining and dividing would copy the tokens and their gradients
        return dict(zip(views, [fused.forward(encoder.transformer, tokens[0])], strict=True))
    outputs = fused.forward(encoder.transformer, torch.cat(tokens))
    return dict(zip(views, torch.split(outputs, [len(of_kind) for of_kind in tokens]), strict=True))


def build_model(config: TrainConfig) -> ModelWithHead | MaskedAutoencoder:
    """Build the model that the run of `config` trains."""
    return MaskedAutoencoder(config) if config.objective.family == "mae" else ModelWithHead(config)
