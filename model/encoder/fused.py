"""The forward pass of the trunk in training: the blocks of `vit.Transformer`, grouped into few passes over memory.

A block of the plain trunk consists of norm, projection, attention, projection and addition, and then norm, matrix
product, bias, GELU, matrix product, bias and addition. On a GPU, the products add bias and residual stream, and apply
the GELU and its slope, and each norm passes once over the stream. On a CPU, these groups are plain PyTorch. Attention
reads the projection without a transposition.

Axes: B window, L token, D width.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float
from torch import Tensor, nn

from model.encoder.kernels import residual_layers
from model.encoder.kernels.attention import attend
from model.encoder.kernels.jit import uses_kernels
from model.encoder.kernels.stream_norm import stream_norm
from model.encoder.vit import Attention, FeedForward, Transformer


def forward(trunk: Transformer, tokens: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
    """Return `trunk(tokens)`, except for rounding."""
    layers = [layer for block in trunk.blocks for layer in (block.attention, block.feed_forward)]
    norms = [*(layer.norm for layer in layers), trunk.norm]
    stream: Tensor = tokens
    normalized: Tensor = norms[0](tokens)
    step = _layer_by_kernels if uses_kernels(tokens) else _layer
    for layer, norm in zip(layers, norms[1:], strict=True):
        stream, normalized = step(layer, norm, stream, normalized)
    return normalized


def _layer(
    layer: Attention | FeedForward, norm: nn.LayerNorm, stream: Tensor, normalized: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the stream after a layer, and its norm, in plain PyTorch."""
    if isinstance(layer, Attention):
        stream = stream + layer.to_out(attend(layer.to_qkv(normalized), layer.heads))
    else:
        first, second = layer.linear_layers
        stream = stream + F.linear(F.gelu(first(normalized)), second.weight)
        stream = stream.add_(second.bias)
    return stream, norm(stream)


def _layer_by_kernels(
    layer: Attention | FeedForward, norm: nn.LayerNorm, stream: Tensor, normalized: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the stream after a layer, and its norm, by the kernels."""
    if isinstance(layer, Attention):
        attended = attend(layer.to_qkv(normalized), layer.heads)
        return stream_norm(residual_layers.project(stream, attended, layer.to_out.weight), None, norm.weight, norm.bias)
    first, second = layer.linear_layers
    weights = (first.weight, first.bias), (second.weight, second.bias)
    stream = residual_layers.feed_forward(stream, normalized, *weights)
    return stream_norm(stream, second.bias, norm.weight, norm.bias)
