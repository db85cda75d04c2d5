"""Residual addition and LayerNorm in one pass: the new residual stream, and the input of the next layer of a block.

For each element the kernel reads two values and writes two, where separate operations of PyTorch would read four and
write two. The backward pass adds the gradient of the stream to the gradient through the norm, and sums the gradients of
weight and biases in the same pass. Statistics are float32 for every type. The reference is `add_norm_plain`.

Axes: R token (windows and tokens flat), D width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float
from torch import Tensor

from model.encoder.kernels.jit import jit, power_of_two, tl, uses_kernels

EPSILON = 1e-5
"""Epsilon of `nn.LayerNorm`."""
_PROGRAMS = 1_024
"""Programs of the backward pass, each with a partial sum for weight and biases; several waves of a large GPU."""


def add_norm(
    stream: Float[Tensor, "*R D"],
    delta: Float[Tensor, "*R D"],
    bias: Float[Tensor, " D"] | None,
    weight: Float[Tensor, " D"],
    shift: Float[Tensor, " D"],
) -> tuple[Float[Tensor, "*R D"], Float[Tensor, "*R D"]]:
    """Return the stream plus `delta` and `bias`, and the LayerNorm of this sum.

    Args:
        stream: residual stream.
        delta: output of a layer, to be added to the stream.
        bias: bias of the matrix product that computed `delta`, if it has one.
        weight: weight of the norm.
        shift: bias of the norm.
    """
    function = add_norm_fused if uses_kernels(stream) else add_norm_plain
    return function(stream, delta, bias, weight, shift)


def add_norm_plain(
    stream: Tensor, delta: Tensor, bias: Tensor | None, weight: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute `add_norm` in plain PyTorch, with the same shapes."""
    total = stream + delta
    if bias is not None:
        total = total.add_(bias)
    return total, F.layer_norm(total, total.shape[-1:], weight, shift, EPSILON)


def add_norm_fused(
    stream: Tensor, delta: Tensor, bias: Tensor | None, weight: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute `add_norm` in one kernel forward and one backward, with the same shapes."""
    return _AddNorm.apply(stream, delta, bias, weight, shift)


class _AddNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        stream: Tensor,
        delta: Tensor,
        bias: Tensor | None,
        weight: Tensor,
        shift: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Add and normalize; save the sum and its statistics."""
        stream, delta = stream.contiguous(), delta.contiguous()
        total, normal = torch.empty_like(stream), torch.empty_like(stream)
        width = stream.shape[-1]
        rows = stream.numel() // width
        statistics = torch.empty((2, rows), dtype=torch.float32, device=stream.device)
        sizes = (rows, width, power_of_two(width), EPSILON, bias is not None)
        _forward[(rows,)](
            stream, delta, shift if bias is None else bias, weight, shift, total, normal, statistics, *sizes
        )
        ctx.save_for_backward(total, weight, statistics)
        ctx.has_bias = bias is not None
        return total, normal

    @staticmethod
    def backward(ctx: Any, grad_total: Tensor, grad_normal: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of stream and delta, which are equal, of both biases and of the weight."""
        total, weight, statistics = ctx.saved_tensors
        width = total.shape[-1]
        rows = total.numel() // width
        programs = min(_PROGRAMS, rows)
        out = torch.empty_like(total)
        partial = torch.empty((3, programs, width), dtype=torch.float32, device=total.device)
        inputs = (total, weight, statistics, grad_total.contiguous(), grad_normal.contiguous())
        _backward[(programs,)](*inputs, out, partial, rows, programs, width, power_of_two(width))
        grad_bias, grad_weight, grad_shift = partial.sum(dim=1).to(weight.dtype)
        return out, out, grad_bias if ctx.has_bias else None, grad_weight, grad_shift


@jit
def _forward(
    stream,
    delta,
    bias,
    weight,
    shift,
    total,
    normal,
    statistics,
    rows,
    width: tl.constexpr,
    block: tl.constexpr,
    epsilon: tl.constexpr,
    has_bias: tl.constexpr,
):
    row = tl.program_id(0)
    column = tl.arange(0, block)
    inside = column < width
    offset = row.to(tl.int64) * width + column
    value = tl.load(stream + offset, inside, 0).to(tl.float32) + tl.load(delta + offset, inside, 0).to(tl.float32)
    if has_bias:
        value += tl.load(bias + column, inside, 0).to(tl.float32)
    value = value.to(total.dtype.element_ty)
    tl.store(total + offset, value, inside)
    value = value.to(tl.float32)  # rounded, as later layers read it
    mean = tl.sum(value, axis=0) / width
    centered = tl.where(inside, value - mean, 0)
    inverse = 1 / tl.sqrt(tl.sum(centered * centered, axis=0) / width + epsilon)
    scaled = centered * inverse * tl.load(weight + column, inside, 0).to(tl.float32)
    scaled += tl.load(shift + column, inside, 0).to(tl.float32)
    tl.store(normal + offset, scaled.to(normal.dtype.element_ty), inside)
    tl.store(statistics + row, mean)
    tl.store(statistics + rows + row, inverse)


@jit
def _backward(
    total,
    weight,
    statistics,
    grad_total,
    grad_normal,
    out,
    partial,
    rows,
    programs,
    width: tl.constexpr,
    block: tl.constexpr,
):
    program = tl.program_id(0)
    column = tl.arange(0, block)
    inside = column < width
    scale = tl.load(weight + column, inside, 0).to(tl.float32)
    grad_bias = tl.zeros((block,), tl.float32)
    grad_weight = tl.zeros((block,), tl.float32)
    grad_shift = tl.zeros((block,), tl.float32)
    for row in range(program, rows, programs):
        offset = (tl.zeros((block,), tl.int64) + row) * width + column  # 64 bits, because batches can be long
        centered = tl.load(total + offset, inside, 0).to(tl.float32) - tl.load(statistics + row)
        inverse = tl.load(statistics + rows + row)
        normal = tl.where(inside, centered * inverse, 0)
        gradient = tl.load(grad_normal + offset, inside, 0).to(tl.float32)
        scaled = gradient * scale
        along = tl.sum(scaled * normal, axis=0) / width
        inner = (scaled - tl.sum(scaled, axis=0) / width - normal * along) * inverse
        value = tl.where(inside, inner + tl.load(grad_total + offset, inside, 0).to(tl.float32), 0)
        tl.store(out + offset, value.to(out.dtype.element_ty), inside)
        grad_bias += value
        grad_weight += gradient * normal
        grad_shift += gradient
    sums = partial + program * width + column
    tl.store(sums, grad_bias, inside)
    tl.store(sums + programs * width, grad_weight, inside)
    tl.store(sums + 2 * programs * width, grad_shift, inside)
