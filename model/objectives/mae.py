"""The masked autoencoder, a baseline of the paper (He et al. 2022): it predicts hidden patches from visible ones.

In: the encoder's tokens of visible patches. Out: the cells of every patch of the window, in ln(1 + power) for every
input scale of the encoder. The loss counts hidden patches only. The decoder has half as many blocks as the encoder and
the same width. With myna-base it gives the paper's 32 million weights. Extraction does not use the decoder.

Axes: B window of the batch, L patch of a window, K visible patch, P cell of a patch, D width.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from model.encoder import fused, weight_checks
from model.encoder.config import EncoderConfig
from model.encoder.vit import Transformer


class MaeDecoder(nn.Module):
    """The decoder, which turns tokens of visible patches into the cells of all patches."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.randn(config.width) * 0.02)  # initialized as by He et al.
        self.transformer = Transformer(replace(config, depth=_depth(config)))
        mels, frames = config.patch_shapes[config.patch_kinds[0]]  # every patch kind has the same number of cells
        self.cells = nn.Linear(config.width, mels * frames)

    def forward(
        self, tokens: Float[Tensor, "B K D"], visible: Int64[Tensor, "B K"], positions: Float[Tensor, "L D"]
    ) -> Float[Tensor, "B L P"]:
        """Return the predicted cells of all patches of each window.

        Args:
            tokens: the encoder's tokens of the visible patches.
            visible: number of each visible patch in its window.
            positions: position vectors of all patches.
        """
        all_tokens = self.hidden.to(tokens.dtype).expand(len(tokens), *positions.shape)
        all_tokens = all_tokens.scatter(1, visible[..., None].expand_as(tokens), tokens)
        predicted: Tensor = self.cells(fused.forward(self.transformer, all_tokens + positions.to(all_tokens.dtype)))
        return predicted


def decoder_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of the decoder by its name in the state dict, without building it."""
    mels, frames = config.patch_shapes[config.patch_kinds[0]]
    cells = {"cells.weight": (mels * frames, config.width), "cells.bias": (mels * frames,)}
    return {"hidden": (config.width,), **weight_checks.trunk_shapes(config, _depth(config)), **cells}


def _depth(config: EncoderConfig) -> int:
    return max(1, config.depth // 2)


def reconstruction_loss(
    predicted: Float[Tensor, "B L P"], cells: Float[Tensor, "B L P"], visible: Int64[Tensor, "B K"]
) -> Float[Tensor, ""]:
    """Return the mean squared error over the cells of hidden patches, in float32 (float64 for float64 cells)."""
    hidden = torch.ones(cells.shape[:2], device=cells.device, dtype=cells.dtype).scatter_(1, visible, 0)
    errors = (predicted.to(cells.dtype) - cells).square().mean(dim=2)
    return (errors * hidden).sum() / hidden.sum()
