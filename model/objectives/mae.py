"""The masked autoencoder, the paper's baseline (He et al. 2022): hidden patches are painted from those that are seen.

In: the encoder's tokens of visible patches. Out: the cells of every patch of the window, in ln(1 + power), whatever
scale the encoder reads. The loss counts hidden patches only. The decoder is half as deep as the encoder and equally
wide, which with myna-base makes the paper's 32 M weights; extraction drops it.

Axes: B window of the batch, L patch of a window, K visible patch, P cell of a patch, D width.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from model.encoder import fused
from model.encoder.config import PATCH_SHAPES, EncoderConfig
from model.encoder.vit import Transformer


class MaeDecoder(nn.Module):
    """Tokens of visible patches to the cells of all patches."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.randn(config.width) * 0.02)  # as He et al. start it
        self.transformer = Transformer(replace(config, depth=max(1, config.depth // 2)))
        mels, frames = PATCH_SHAPES[config.patch_kinds[0]]  # every kind has as many cells
        self.cells = nn.Linear(config.width, mels * frames)

    def forward(
        self, tokens: Float[Tensor, "B K D"], visible: Int64[Tensor, "B K"], positions: Float[Tensor, "L D"]
    ) -> Float[Tensor, "B L P"]:
        """Paint a window.

        Args:
            tokens: the encoder's, of the visible patches.
            visible: number of each in its window.
            positions: of all patches.
        """
        canvas = self.hidden.to(tokens.dtype).expand(len(tokens), *positions.shape)
        canvas = canvas.scatter(1, visible[..., None].expand_as(tokens), tokens)
        painted: Tensor = self.cells(fused.read(self.transformer, canvas + positions.to(canvas.dtype)))
        return painted


def reconstruction_loss(
    painted: Float[Tensor, "B L P"], cells: Float[Tensor, "B L P"], visible: Int64[Tensor, "B K"]
) -> Float[Tensor, ""]:
    """Mean squared error over the cells of hidden patches; float32 (float64 for float64)."""
    hidden = torch.ones(cells.shape[:2], device=cells.device, dtype=cells.dtype).scatter_(1, visible, 0)
    errors = (painted.to(cells.dtype) - cells).square().mean(dim=2)
    return (errors * hidden).sum() / hidden.sum()
