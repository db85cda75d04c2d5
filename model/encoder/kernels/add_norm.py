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

from model.encoder.kernels.jit import jit, power_of_two, tl, triton, uses_kernels

EPSILON = 1e-5
"""Epsilon of `nn.LayerNorm`."""
_ROWS = 8
"""Tokens that a program has at the same time: two for each of its four warps."""
_CHUNK = 128
"""Values of a row that are loaded at the same time: 16 bytes for each of 16 threads in bfloat16. A width of 384 has
three chunks, and no thread is idle, whereas a single block would have 512 values."""
_PROGRAMS = 528
"""Programs of the backward pass, each with a partial sum for weight and biases: four for each multiprocessor."""


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
        sizes = (rows, width, _chunk(width), _ROWS, EPSILON, bias is not None)
        _forward[(triton.cdiv(rows, _ROWS),)](
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
        programs = min(_PROGRAMS, triton.cdiv(rows, _ROWS))
        out = torch.empty_like(total)
        partial = torch.empty((3, programs, width), dtype=torch.float32, device=total.device)
        inputs = (total, weight, statistics, grad_total.contiguous(), grad_normal.contiguous())
        _backward[(programs,)](*inputs, out, partial, rows, programs, width, _chunk(width), _ROWS)
        grad_bias, grad_weight, grad_shift = partial.sum(dim=1).to(weight.dtype)
        return out, out, grad_bias if ctx.has_bias else None, grad_weight, grad_shift


def _chunk(width: int) -> int:
    """Return the values of a row that are loaded at the same time."""
    return min(_CHUNK, power_of_two(width))


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
    block_rows: tl.constexpr,
    epsilon: tl.constexpr,
    has_bias: tl.constexpr,
):
    chunks: tl.constexpr = (width + block - 1) // block
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    exists = row < rows
    start = row.to(tl.int64)[:, None] * width
    values = ()
    mean = tl.zeros((block_rows,), tl.float32)
    for chunk in tl.static_range(chunks):
        column = chunk * block + tl.arange(0, block)
        inside = exists[:, None] & (column < width)[None, :]
        place = start + column[None, :]
        value = tl.load(stream + place, inside, 0).to(tl.float32) + tl.load(delta + place, inside, 0).to(tl.float32)
        if has_bias:
            value += tl.load(bias + column, column < width, 0).to(tl.float32)[None, :]
        value = value.to(total.dtype.element_ty)
        tl.store(total + place, value, inside)
        value = value.to(tl.float32)  # rounded, as later layers read it
        values = values + (value,)  # noqa: RUF005 -- Triton knows no unpacking
        mean += tl.sum(value, axis=1) / width
    variance = tl.zeros((block_rows,), tl.float32)
    for chunk in tl.static_range(chunks):
        column = chunk * block + tl.arange(0, block)
        centered = tl.where((column < width)[None, :], values[chunk] - mean[:, None], 0)
        variance += tl.sum(centered * centered, axis=1) / width
    inverse = 1 / tl.sqrt(variance + epsilon)
    for chunk in tl.static_range(chunks):
        column = chunk * block + tl.arange(0, block)
        inside = exists[:, None] & (column < width)[None, :]
        scaled = (values[chunk] - mean[:, None]) * inverse[:, None]
        scaled *= tl.load(weight + column, column < width, 0).to(tl.float32)[None, :]
        scaled += tl.load(shift + column, column < width, 0).to(tl.float32)[None, :]
        tl.store(normal + start + column[None, :], scaled.to(normal.dtype.element_ty), inside)
    tl.store(statistics + row, mean, exists)
    tl.store(statistics + rows + row, inverse, exists)


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
    block_rows: tl.constexpr,
):
    chunks: tl.constexpr = (width + block - 1) // block
    program = tl.program_id(0)
    sums = ()
    for _ in tl.static_range(chunks):
        zeros = tl.zeros((block_rows, block), tl.float32)
        sums = sums + ((zeros, zeros, zeros),)  # noqa: RUF005
    for first in range(program * block_rows, rows, programs * block_rows):
        row = first + tl.arange(0, block_rows)
        exists = row < rows
        start = row.to(tl.int64)[:, None] * width
        mean = tl.load(statistics + row, exists, 0)[:, None]
        inverse = tl.load(statistics + rows + row, exists, 0)[:, None]
        normals, gradients = (), ()
        scaled_sum = tl.zeros((block_rows,), tl.float32)
        along_sum = tl.zeros((block_rows,), tl.float32)
        for chunk in tl.static_range(chunks):
            column = chunk * block + tl.arange(0, block)
            inside = exists[:, None] & (column < width)[None, :]
            place = start + column[None, :]
            normal = tl.where(inside, (tl.load(total + place, inside, 0).to(tl.float32) - mean) * inverse, 0)
            gradient = tl.load(grad_normal + place, inside, 0).to(tl.float32)
            scaled = gradient * tl.load(weight + column, column < width, 0).to(tl.float32)[None, :]
            scaled_sum += tl.sum(scaled, axis=1)
            along_sum += tl.sum(scaled * normal, axis=1)
            normals, gradients = normals + (normal,), gradients + (gradient,)  # noqa: RUF005
        new_sums = ()
        for chunk in tl.static_range(chunks):
            column = chunk * block + tl.arange(0, block)
            inside = exists[:, None] & (column < width)[None, :]
            place = start + column[None, :]
            normal, gradient = normals[chunk], gradients[chunk]
            scaled = gradient * tl.load(weight + column, column < width, 0).to(tl.float32)[None, :]
            value = (scaled - (scaled_sum / width)[:, None] - normal * (along_sum / width)[:, None]) * inverse
            value = tl.where(inside, value + tl.load(grad_total + place, inside, 0).to(tl.float32), 0)
            tl.store(out + place, value.to(out.dtype.element_ty), inside)
            grad_bias, grad_weight, grad_shift = sums[chunk]
            new_sums = new_sums + ((grad_bias + value, grad_weight + gradient * normal, grad_shift + gradient),)  # noqa: RUF005
        sums = new_sums
    for chunk in tl.static_range(chunks):
        column = chunk * block + tl.arange(0, block)
        for kind in tl.static_range(3):
            place = partial + (kind * programs + program) * width + column
            tl.store(place, tl.sum(sums[chunk][kind], axis=0), column < width)
