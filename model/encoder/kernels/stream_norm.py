"""The LayerNorm of the residual stream and that of the patch embedding, with one pass over memory backward.

The forward kernel reads a value and writes one for each element. The backward kernel adds the gradient of the stream to
the gradient through the norm, and sums the gradients of weight and biases in the same pass. The bias of the layer
before is among them: the product of that layer has added it (`fused_linear.linear_residual`), and its gradient is the
sum of the stream's gradient, which passes through here. Statistics are float32 for every type.

The patch embedding ends with a norm as well, to which the kernel adds the position of each token. The gradient of the
bias before it is likewise computed here. The references are the functions whose names end with `_plain`.

Axes: R token (windows and tokens flat), D width, L patch of a window.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float, Int64
from torch import Tensor

from model.encoder.kernels.jit import jit, power_of_two, tl, triton
from model.encoder.kernels.spread import spread

EPSILON = 1e-5
"""Epsilon of `nn.LayerNorm`."""
_ROWS = 8
"""Tokens that a program has at the same time: two for each of its four warps."""
_CHUNK = 128
"""Values of a row that are loaded at the same time: 16 bytes for each of 16 threads in bfloat16. A width of 384 has
three chunks, and no thread is idle, whereas a single block would have 512 values."""
_PROGRAMS = 528
"""Programs of the backward pass, each with a partial sum for weight and biases: four for each multiprocessor."""


def stream_norm(
    stream: Float[Tensor, "*R D"],
    bias: Float[Tensor, " D"] | None,
    weight: Float[Tensor, " D"],
    shift: Float[Tensor, " D"],
) -> tuple[Float[Tensor, "*R D"], Float[Tensor, "*R D"]]:
    """Return the stream and its LayerNorm, in one kernel for each direction.

    Args:
        stream: residual stream. Later layers must use the returned one, through which all gradients pass.
        bias: bias that is already part of the stream, and whose gradient is computed here; None if there is none.
        weight: weight of the norm.
        shift: bias of the norm.
    """
    parameters = (torch.zeros_like(weight) if bias is None else bias, weight, shift)
    return stream_norm_spread(stream, *spread(parameters, 3, partial_sums(stream)))


def stream_norm_spread(
    stream: Float[Tensor, "*R D"], parameters: Float[Tensor, "copies 3 D"]
) -> tuple[Float[Tensor, "*R D"], Float[Tensor, "*R D"]]:
    """Compute `stream_norm` with the bias before it, the weight and the bias of the norm from `spread`.

    Args:
        stream: residual stream.
        parameters: these three in float32, expanded to `partial_sums(stream)` copies.
    """
    return _StreamNorm.apply(stream, parameters)


def partial_sums(stream: Float[Tensor, "*R D"]) -> int:
    """Return the number of partial sums of the gradients of the parameters: one for each program."""
    return min(_PROGRAMS, triton.cdiv(stream.numel() // stream.shape[-1], _ROWS))


def stream_norm_plain(stream: Tensor, bias: Tensor | None, weight: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Compute `stream_norm` in plain PyTorch, with the same shapes."""
    if bias is not None:
        stream = stream + (bias - bias.detach())  # adds 0, and passes the gradient on
    return stream, F.layer_norm(stream, stream.shape[-1:], weight, shift, EPSILON)


def token_norm(
    linear: Float[Tensor, "*R D"],
    bias: Float[Tensor, " D"],
    weight: Float[Tensor, " D"],
    shift: Float[Tensor, " D"],
    positions: Float[Tensor, "L D"],
    visible: Int64[Tensor, "*R"],
) -> Float[Tensor, "*R D"]:
    """Return the LayerNorm of the output of a linear layer plus positions, in one kernel for each direction.

    Args:
        linear: output of the linear layer, including its bias.
        bias: this bias, whose gradient is computed here.
        weight: weight of the norm.
        shift: bias of the norm.
        positions: position vector of each patch of a window, a constant.
        visible: number of the patch of each token.
    """
    (parameters,) = spread((bias, weight, shift), 3, partial_sums(linear))
    return _TokenNorm.apply(linear, parameters, positions, visible)


def token_norm_plain(
    linear: Tensor, bias: Tensor, weight: Tensor, shift: Tensor, positions: Tensor, visible: Tensor
) -> Tensor:
    """Compute `token_norm` in plain PyTorch, with the same shapes."""
    _, normal = stream_norm_plain(linear, bias, weight, shift)
    return normal + positions[visible].to(normal.dtype)


class _StreamNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, stream: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Normalize; save the stream and its statistics."""
        stream = stream.contiguous()
        normal, statistics = _normalize(stream, parameters)
        ctx.save_for_backward(stream, parameters, statistics)
        return stream, normal

    @staticmethod
    def backward(ctx: Any, grad_stream: Tensor, grad_normal: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of the stream, and of each copy of the parameters."""
        stream, parameters, statistics = ctx.saved_tensors
        return _gradients(stream, parameters, statistics, grad_normal, grad_stream)


class _TokenNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, linear: Tensor, parameters: Tensor, positions: Tensor, visible: Tensor) -> Tensor:
        """Normalize and add positions; save the input and its statistics."""
        linear = linear.contiguous()
        tokens, statistics = _normalize(linear, parameters, positions.contiguous(), visible.contiguous())
        ctx.save_for_backward(linear, parameters, statistics)
        return tokens

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input, and of each copy of the parameters."""
        linear, parameters, statistics = ctx.saved_tensors
        return *_gradients(linear, parameters, statistics, gradient), None, None


def _normalize(
    stream: Tensor, parameters: Tensor, positions: Tensor | None = None, visible: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the norm of the stream, plus positions if there are any, and mean and inverse deviation of each token."""
    (_, weight, shift), normal, width = parameters[0], torch.empty_like(stream), stream.shape[-1]
    rows = stream.numel() // width
    statistics = torch.empty((2, rows), dtype=torch.float32, device=stream.device)
    added = (weight, weight) if positions is None else (positions, visible)
    sizes = (rows, width, _chunk(width), _ROWS, EPSILON, positions is not None)
    _forward[(triton.cdiv(rows, _ROWS),)](stream, weight, shift, *added, normal, statistics, *sizes)
    return normal, statistics


def _gradients(
    stream: Tensor, parameters: Tensor, statistics: Tensor, grad_normal: Tensor, grad_stream: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the input of the norm, and of each copy of the parameters."""
    width, programs = stream.shape[-1], len(parameters)
    out, partial = torch.empty_like(stream), torch.empty_like(parameters, memory_format=torch.contiguous_format)
    grad_normal = grad_normal.contiguous()
    past = grad_normal if grad_stream is None else grad_stream.contiguous()
    inputs = (stream, parameters[0, 1], statistics, past, grad_normal)
    sizes = (stream.numel() // width, programs, width, _chunk(width), _ROWS, grad_stream is not None)
    _backward[(programs,)](*inputs, out, partial, *sizes)
    return out, partial


def _chunk(width: int) -> int:
    """Return the values of a row that are loaded at the same time."""
    return min(_CHUNK, power_of_two(width))


@jit
def _forward(
    stream,
    weight,
    shift,
    positions,
    visible,
    normal,
    statistics,
    rows,
    width: tl.constexpr,
    block: tl.constexpr,
    block_rows: tl.constexpr,
    epsilon: tl.constexpr,
    has_positions: tl.constexpr,
):
    chunks: tl.constexpr = (width + block - 1) // block
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    exists = row < rows
    start = row.to(tl.int64)[:, None] * width
    values, mean, inverse = _load_rows(stream, start, exists, width, block, epsilon)
    if has_positions:
        patch = tl.load(visible + row, exists, 0)
    for chunk in tl.static_range(chunks):
        column = chunk * block + tl.arange(0, block)
        inside = exists[:, None] & (column < width)[None, :]
        scaled = (values[chunk] - mean[:, None]) * inverse[:, None]
        scaled *= tl.load(weight + column, column < width, 0).to(tl.float32)[None, :]
        scaled += tl.load(shift + column, column < width, 0).to(tl.float32)[None, :]
        if has_positions:
            scaled += tl.load(positions + patch[:, None] * width + column[None, :], inside, 0)
        tl.store(normal + start + column[None, :], scaled.to(normal.dtype.element_ty), inside)
    tl.store(statistics + row, mean, exists)
    tl.store(statistics + rows + row, inverse, exists)


@jit
def _load_rows(stream, start, exists, width: tl.constexpr, block: tl.constexpr, epsilon: tl.constexpr):
    """Return rows in chunks, their means, and their inverse standard deviations."""
    chunks: tl.constexpr = (width + block - 1) // block
    values = ()
    mean = tl.zeros((exists.shape[0],), tl.float32)
    for chunk in tl.static_range(chunks):
        column = chunk * block + tl.arange(0, block)
        inside = exists[:, None] & (column < width)[None, :]
        value = tl.load(stream + start + column[None, :], inside, 0).to(tl.float32)
        values = values + (value,)  # noqa: RUF005 -- Triton knows no unpacking
        mean += tl.sum(value, axis=1) / width
    variance = tl.zeros((exists.shape[0],), tl.float32)
    for chunk in tl.static_range(chunks):
        column = chunk * block + tl.arange(0, block)
        centered = tl.where((column < width)[None, :], values[chunk] - mean[:, None], 0)
        variance += tl.sum(centered * centered, axis=1) / width
    return values, mean, 1 / tl.sqrt(variance + epsilon)


@jit
def _backward(
    stream,
    weight,
    statistics,
    grad_stream,
    grad_normal,
    out,
    partial,
    rows,
    programs,
    width: tl.constexpr,
    block: tl.constexpr,
    block_rows: tl.constexpr,
    has_stream: tl.constexpr,
):
    chunks: tl.constexpr = (width + block - 1) // block
    program = tl.program_id(0)
    zeros = tl.zeros((block_rows, block), tl.float32)
    sums = ()
    for _ in tl.static_range(chunks):
        sums = sums + ((zeros, zeros, zeros),)  # noqa: RUF005
    for first in range(program * block_rows, rows, programs * block_rows):
        row = first + tl.arange(0, block_rows)
        exists = row < rows
        start = row.to(tl.int64)[:, None] * width
        mean, inverse = _load_statistics(statistics, row, rows, exists)
        normals, gradients, scaled_mean, along_mean = _load_gradients(
            stream, grad_normal, weight, mean, inverse, start, exists, width, block
        )
        new_sums = ()
        for chunk in tl.static_range(chunks):
            column = chunk * block + tl.arange(0, block)
            inside = exists[:, None] & (column < width)[None, :]
            place, normal, gradient = start + column[None, :], normals[chunk], gradients[chunk]
            value = _through_norm(gradient, normal, weight, column, inverse, scaled_mean, along_mean, width)
            value = _add_stream(value, grad_stream, place, inside, has_stream)
            tl.store(out + place, value.to(out.dtype.element_ty), inside)
            new_sums = new_sums + (_add(sums[chunk], value, gradient * normal, gradient),)  # noqa: RUF005
        sums = new_sums
    _store_sums(sums, partial, program, width, block)


@jit
def _through_norm(gradient, normal, weight, column, inverse, scaled_mean, along_mean, width: tl.constexpr):
    """Return the gradient of the input of the norm in one chunk."""
    scaled = gradient * tl.load(weight + column, column < width, 0).to(tl.float32)[None, :]
    return (scaled - scaled_mean[:, None] - normal * along_mean[:, None]) * inverse


@jit
def _load_statistics(statistics, row, rows, exists):
    return tl.load(statistics + row, exists, 0)[:, None], tl.load(statistics + rows + row, exists, 0)[:, None]


@jit
def _add_stream(value, grad_stream, place, inside, has_stream: tl.constexpr):
    """Return the gradient plus that of the stream if there is one, and 0 outside of the rows."""
    if has_stream:
        value += tl.load(grad_stream + place, inside, 0).to(tl.float32)
    return tl.where(inside, value, 0)


@jit
def _add(sums, bias, weight, shift):
    return sums[0] + bias, sums[1] + weight, sums[2] + shift


@jit
def _load_gradients(
    stream, grad_normal, weight, mean, inverse, start, exists, width: tl.constexpr, block: tl.constexpr
):
    """Return normalized rows and their gradients in chunks, the mean scaled gradient, and its mean along the rows."""
    normals, gradients = (), ()
    scaled_mean = tl.zeros((exists.shape[0],), tl.float32)
    along_mean = tl.zeros((exists.shape[0],), tl.float32)
    for chunk in tl.static_range((width + block - 1) // block):
        column = chunk * block + tl.arange(0, block)
        inside = exists[:, None] & (column < width)[None, :]
        place = start + column[None, :]
        normal = tl.where(inside, (tl.load(stream + place, inside, 0).to(tl.float32) - mean) * inverse, 0)
        gradient = tl.load(grad_normal + place, inside, 0).to(tl.float32)
        scaled = gradient * tl.load(weight + column, column < width, 0).to(tl.float32)[None, :]
        scaled_mean += tl.sum(scaled, axis=1) / width
        along_mean += tl.sum(scaled * normal, axis=1) / width
        normals, gradients = normals + (normal,), gradients + (gradient,)  # noqa: RUF005
    return normals, gradients, scaled_mean, along_mean


@jit
def _store_sums(sums, partial, program, width: tl.constexpr, block: tl.constexpr):
    """Store the sums over the rows of a program: for the bias of the stream, and for weight and bias of the norm."""
    for chunk in tl.static_range((width + block - 1) // block):
        column = chunk * block + tl.arange(0, block)
        for kind in tl.static_range(3):
            place = partial + (3 * program + kind) * width + column
            tl.store(place, tl.sum(sums[chunk][kind], axis=0), column < width)
