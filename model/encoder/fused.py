"""The forward pass of the encoder in training: the layers of `vit.Encoder`, grouped into few passes over memory.

A block of the plain trunk consists of norm, projection, attention, projection and addition, and then norm, matrix
product, bias, GELU, matrix product, bias and addition. On a GPU, the products add bias and residual stream, and apply
the GELU and its slope, and each norm passes once over the stream. On a CPU, these groups are plain PyTorch. Attention
reads the projection without a transposition.

The patch embedding consists of norm, linear layer, norm and positions. The cells arrive normalized, so the weights of
the first norm are multiplied into the linear layer: with weight g and bias b, W (g x + b) + c = (W g) x + (W b + c).
This leaves no pass over the cells and no gradient of them. The last norm adds the positions.

Axes: B window, L token, K visible token, P patch size, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float, Int64
from torch import Tensor, nn

from model.encoder.kernels import fused_linear, products, residual_layers
from model.encoder.kernels.attention import attend
from model.encoder.kernels.jit import uses_kernels
from model.encoder.kernels.spread import spread
from model.encoder.kernels.stream_norm import partial_sums, stream_norm_spread, token_norm
from model.encoder.vit import Attention, FeedForward, PatchEmbedding, Transformer


def embed(
    embedding: PatchEmbedding, cells: Float[Tensor, "B K P"], visible: Int64[Tensor, "B K"]
) -> Float[Tensor, "B K D"]:
    """Return `embedding.embed_cells(cells, visible)`, except for rounding."""
    if not uses_kernels(cells):
        return embedding.embed_cells(cells, visible)
    norm, linear, last = embedding.parts
    bias = torch.addmv(linear.bias, linear.weight, norm.bias)
    tokens = F.linear(cells, linear.weight * norm.weight, bias.detach())
    return token_norm(tokens, bias, last.weight, last.bias, embedding.positions, visible)


def forward(trunk: Transformer, tokens: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
    """Return `trunk(tokens)`, except for rounding."""
    layers = [layer for block in trunk.blocks for layer in (block.attention, block.feed_forward)]
    norms = [layer.norm for layer in layers] + [trunk.norm]
    if uses_kernels(tokens):
        return _forward_by_kernels(layers, norms, tokens)
    stream: Tensor = tokens
    normalized: Tensor = norms[0](tokens)
    for layer, norm in zip(layers, norms[1:], strict=True):
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
    layers: Sequence[Attention | FeedForward], norms: Sequence[nn.LayerNorm], stream: Tensor
) -> Tensor:
    """Return the norm after all layers, by the kernels."""
    first_norm, *other_norms = _norm_parameters(layers, norms, partial_sums(stream))
    hidden_biases = iter(_hidden_biases(layers, stream))
    stream, normalized = stream_norm_spread(stream, first_norm)
    for layer, parameters in zip(layers, other_norms, strict=True):
        if isinstance(layer, Attention):
            attended = attend(products.linear(normalized, layer.to_qkv.weight), layer.heads)
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
    """Return, for each norm, the bias that the layer before it adds to the stream, and weight and bias of the norm."""
    zeros = torch.zeros_like(norms[0].weight)
    biases = [zeros if isinstance(layer, Attention) else layer.linear_layers[1].bias for layer in layers]
    rows = [row for bias, norm in zip([zeros, *biases], norms, strict=True) for row in (bias, norm.weight, norm.bias)]
    return spread(rows, 3, copies)


def _hidden_biases(layers: Sequence[Attention | FeedForward], stream: Tensor) -> tuple[Tensor, ...]:
    """Return the bias before the GELU of each feed-forward network."""
    biases = [layer.linear_layers[0].bias for layer in layers if isinstance(layer, FeedForward)]
    return spread(biases, 1, fused_linear.partial_sums(stream))
