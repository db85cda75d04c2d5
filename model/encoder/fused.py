"""The forward pass of the trunk in training: the blocks of `vit.Transformer`, grouped into few passes over memory.

A block of the plain trunk consists of norm, projection, attention, projection and addition, and then norm, matrix
product, bias, GELU, matrix product, bias and addition. This module does each addition together with the norm that
follows it, and the bias together with the GELU, and attention reads the projection without a transposition. On a GPU
each of these groups is one kernel. On a CPU they are plain PyTorch.

Axes: B window, L token, D width.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float
from torch import Tensor

from model.encoder.kernels.add_norm import add_norm
from model.encoder.kernels.attention import attend
from model.encoder.kernels.linear_gelu import linear_gelu
from model.encoder.vit import Attention, FeedForward, Transformer


def forward(trunk: Transformer, tokens: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
    """Return `trunk(tokens)`, except for rounding."""
    layers = [layer for block in trunk.blocks for layer in (block.attention, block.feed_forward)]
    norms = [*(layer.norm for layer in layers), trunk.norm]
    stream: Tensor = tokens
    normalized: Tensor = norms[0](tokens)
    for layer, norm in zip(layers, norms[1:], strict=True):
        if isinstance(layer, Attention):
            delta, bias = _attend(layer, normalized)
        else:
            delta, bias = _feed_forward(layer, normalized)
        stream, normalized = add_norm(stream, delta, bias, norm.weight, norm.bias)
    return normalized


def _attend(attention: Attention, normalized: Tensor) -> tuple[Tensor, Tensor | None]:
    delta: Tensor = attention.to_out(attend(attention.to_qkv(normalized), attention.heads))
    return delta, None


def _feed_forward(feed_forward: FeedForward, normalized: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the output without the bias of the second product, and this bias, which the caller adds."""
    first, second = feed_forward.linear_layers
    return F.linear(linear_gelu(normalized, first.weight, first.bias), second.weight), second.bias
