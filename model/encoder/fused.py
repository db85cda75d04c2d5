"""The forward pass of the trunk in training: the blocks of `vit.Transformer`, grouped into few passes over memory.

A block of the plain trunk consists of norm, projection, attention, projection and addition, and then norm, matrix
product, bias, GELU, matrix product, bias and addition. On a GPU, the products add bias and residual stream, and apply
the GELU and its slope, and each norm passes once over the stream. On a CPU, these groups are plain PyTorch. Attention
reads the projection without a transposition.

Axes: B window, L token, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float
from torch import Tensor, nn

from model.encoder.kernels import fused_linear, residual_layers
from model.encoder.kernels.attention import attend
from model.encoder.kernels.jit import uses_kernels
from model.encoder.kernels.spread import spread
from model.encoder.kernels.stream_norm import partial_sums, stream_norm_spread
from model.encoder.vit import Attention, FeedForward, Transformer


def forward(trunk: Transformer, tokens: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
    """Return `trunk(tokens)`, except for rounding."""
    layers = [layer for block in trunk.blocks for layer in (block.attention, block.feed_forward)]
    norms = [layer.norm for layer in layers[1:]] + [trunk.norm]
    normalized: Tensor = layers[0].norm(tokens)
    if uses_kernels(tokens):
        return _forward_by_kernels(layers, norms, tokens, normalized)
    stream: Tensor = tokens
    for layer, norm in zip(layers, norms, strict=True):
        stream, normalized = _layer(layer, norm, stream, normalized)
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


def _forward_by_kernels(
    layers: Sequence[Attention | FeedForward], norms: Sequence[nn.LayerNorm], stream: Tensor, normalized: Tensor
) -> Tensor:
    """Return the norm after all layers, by the kernels."""
    of_norms = _norm_parameters(layers, norms, partial_sums(stream))
    hidden_biases = iter(_hidden_biases(layers, normalized))
    for layer, parameters in zip(layers, of_norms, strict=True):
        if isinstance(layer, Attention):
            attended = attend(layer.to_qkv(normalized), layer.heads)
            stream = residual_layers.project(stream, attended, layer.to_out.weight)
        else:
            first, second = layer.linear_layers
            weights = (first.weight, next(hidden_biases)), (second.weight, second.bias)
            stream = residual_layers.feed_forward_spread(stream, normalized, *weights)
        stream, normalized = stream_norm_spread(stream, parameters)
    return normalized


def _norm_parameters(
    layers: Sequence[Attention | FeedForward], norms: Sequence[nn.LayerNorm], copies: int
) -> tuple[Tensor, ...]:
    """Return, for each layer, the bias that it adds to the stream, and weight and bias of the norm after it."""
    zeros = torch.zeros_like(norms[0].weight)
    biases = [zeros if isinstance(layer, Attention) else layer.linear_layers[1].bias for layer in layers]
    rows = [row for bias, norm in zip(biases, norms, strict=True) for row in (bias, norm.weight, norm.bias)]
    return spread(rows, 3, copies)


def _hidden_biases(layers: Sequence[Attention | FeedForward], normalized: Tensor) -> tuple[Tensor, ...]:
    """Return the bias before the GELU of each feed-forward network."""
    biases = [layer.linear_layers[0].bias for layer in layers if isinstance(layer, FeedForward)]
    return spread(biases, 1, fused_linear.partial_sums(normalized))
