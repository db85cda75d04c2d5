"""The layers that write to the residual stream: the output of attention, and the feed-forward network.

The products are those of `products`, which are the kernels of `fused_linear` unless another implementation was chosen
for their shape. The forward pass leaves nothing to add to the stream. The backward pass computes the
slope of the GELU in the product that gives the gradient of its output. The gradient of the last bias of a layer is
computed by the norm that follows it (`stream_norm`), which sums the gradient of the stream anyway. The references are
the functions whose names end with `_plain`.

Axes: R token (windows and tokens flat), D width, F hidden width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float
from torch import Tensor

from model.encoder.kernels.fused_linear import partial_sums
from model.encoder.kernels.products import compute
from model.encoder.kernels.spread import spread


def project(
    stream: Float[Tensor, "*R D"], attended: Float[Tensor, "*R F"], weight: Float[Tensor, "D F"]
) -> Float[Tensor, "*R D"]:
    """Return the stream plus the projection of what attention has computed."""
    return _Projection.apply(stream, attended, weight)


def project_plain(stream: Tensor, attended: Tensor, weight: Tensor) -> Tensor:
    """Compute `project` in plain PyTorch, with the same shapes."""
    return stream + F.linear(attended, weight)


def feed_forward(
    stream: Float[Tensor, "*R D"],
    normalized: Float[Tensor, "*R D"],
    first: tuple[Float[Tensor, "F D"], Float[Tensor, " F"]],
    second: tuple[Float[Tensor, "D F"], Float[Tensor, " D"]],
) -> Float[Tensor, "*R D"]:
    """Return the stream plus a two-layer perceptron with the exact GELU of its norm.

    Args:
        stream: residual stream.
        normalized: LayerNorm of the stream.
        first: weight and bias of the first layer.
        second: weight and bias of the second layer. The bias gets no gradient here, but in the norm that follows.
    """
    weight, bias = first
    (copies,) = spread((bias,), 1, partial_sums(normalized))
    return feed_forward_spread(stream, normalized, (weight, copies), second)


def feed_forward_spread(
    stream: Float[Tensor, "*R D"],
    normalized: Float[Tensor, "*R D"],
    first: tuple[Float[Tensor, "F D"], Float[Tensor, "copies 1 F"]],
    second: tuple[Float[Tensor, "D F"], Float[Tensor, " D"]],
) -> Float[Tensor, "*R D"]:
    """Compute `feed_forward` with the bias of the first layer from `spread`, in `partial_sums(normalized)` copies."""
    return _FeedForward.apply(stream, normalized, *first, *second)


def feed_forward_plain(
    stream: Tensor, normalized: Tensor, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]
) -> Tensor:
    """Compute `feed_forward` in plain PyTorch, with the same shapes."""
    weight, bias = second
    return stream + F.linear(F.gelu(F.linear(normalized, *first)), weight, bias.detach())


class _Projection(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, stream: Tensor, attended: Tensor, weight: Tensor) -> Tensor:
        """Project and add; save the inputs of the product."""
        ctx.save_for_backward(attended, weight)
        out: Tensor = compute("linear_residual", attended, weight, None, stream)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of the stream, of what was projected, and of the weight."""
        attended, weight = ctx.saved_tensors
        grad_attended = compute("input_gradient", gradient, weight)
        return gradient, grad_attended, compute("weight_gradient", gradient, attended)


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, stream: Tensor, normalized: Tensor, weight: Tensor, bias: Tensor, out_weight: Tensor, out_bias: Tensor
    ) -> Tensor:
        """Compute both layers and add; save what the gradients need."""
        hidden, active = compute("linear_gelu", normalized, weight, bias[0, 0])
        ctx.save_for_backward(normalized, weight, out_weight, hidden, active)
        out: Tensor = compute("linear_residual", active, out_weight, out_bias, stream)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the stream, of the norm, of both weights and of each copy of the first bias."""
        normalized, weight, out_weight, hidden, active = ctx.saved_tensors
        grad_hidden, grad_copies = compute("gelu_gradient", gradient, out_weight, hidden)
        grad_normalized = compute("input_gradient", grad_hidden, weight)
        grad_weight = compute("weight_gradient", grad_hidden, normalized)
        grad_out_weight = compute("weight_gradient", gradient, active)
        return gradient, grad_normalized, grad_weight, grad_copies[:, None], grad_out_weight, None
