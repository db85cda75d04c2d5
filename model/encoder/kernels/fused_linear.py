"""Matrix products of the training step whose epilogues do what would otherwise be passes over memory.

- `linear_gelu` adds the bias and applies the exact GELU, and keeps the input of the GELU for the backward pass.
- `gelu_gradient` multiplies the gradient of the second layer's input by the slope of the GELU, and sums the gradient of
  the first layer's bias.
- `linear_residual` adds the residual stream and the bias.
- `multiply` is a product alone, which is used where it is faster than that of the libraries (`products`).

A program computes one tile of the result. Two programs share a multiprocessor, so that one multiplies while the other
is in its epilogue. Sums are float32. The normal distribution function is formula 7.1.26 of Abramowitz and Stegun
(1964), whose error is below 1.5e-7. It shares its exponential with the density, and takes half the instructions of
`erf`.

Each function has a reference in plain PyTorch. Their gradients are in `model.encoder.kernels.residual_layers`.

Axes: R token (windows and tokens flat), D width, F hidden width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float
from torch import Tensor

from model.encoder.kernels.jit import jit, tl, triton

GELU, SLOPE, RESIDUAL, PLAIN = 0, 1, 2, 3


@dataclass(frozen=True)
class Tile:
    """The tile of the result that a program computes; sizes are powers of two and at least 16."""

    rows: int
    """Tokens of a tile."""
    columns: int
    """Columns of a tile."""
    inner: int
    """Columns of the inputs that are multiplied at the same time."""
    warps: int
    """Warps of a program."""
    stages: int
    """Parts of the inputs that are loaded at the same time."""


_WIDE = Tile(128, 128, 64, 8, 3)
TILES = {GELU: _WIDE, SLOPE: Tile(128, 64, 64, 4, 4), RESIDUAL: _WIDE, PLAIN: _WIDE}
"""Tiles in bfloat16, by epilogue. Two programs of each fit on a multiprocessor, and none spills a register."""
EXACT_TILE = Tile(32, 32, 32, 4, 2)
"""Tile in float32, where products are exact and slow."""


def linear_gelu(
    inputs: Float[Tensor, "*R D"], weight: Float[Tensor, "F D"], bias: Float[Tensor, " F"]
) -> tuple[Float[Tensor, "*R F"], Float[Tensor, "*R F"]]:
    """Return `inputs @ weight.T + bias`, and its GELU."""
    hidden = inputs.new_empty((*inputs.shape[:-1], len(weight)))
    active = torch.empty_like(hidden)
    _launch(GELU, inputs, weight, active, bias, hidden, hidden)
    return hidden, active


def linear_gelu_plain(inputs: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Compute `linear_gelu` in plain PyTorch, with the same shapes."""
    hidden = F.linear(inputs, weight, bias)
    return hidden, F.gelu(hidden)


def gelu_gradient(
    gradient: Float[Tensor, "*R D"], weight: Float[Tensor, "D F"], hidden: Float[Tensor, "*R F"]
) -> tuple[Float[Tensor, "*R F"], Float[Tensor, "sums F"]]:
    """Return `gradient @ weight` times the slope of the GELU at `hidden`, and partial sums over the tokens in float32.

    Args:
        gradient: gradient of the output of the second layer.
        weight: weight of the second layer.
        hidden: input of the GELU.
    """
    out = torch.empty_like(hidden)
    partial = torch.empty((partial_sums(hidden), hidden.shape[-1]), dtype=torch.float32, device=hidden.device)
    _launch(SLOPE, gradient, weight, out, partial, hidden, partial, is_transposed=True)
    return out, partial


def partial_sums(hidden: Float[Tensor, "*R F"]) -> int:
    """Return the number of partial sums of `gelu_gradient`: one for each row of tiles."""
    rows: int = triton.cdiv(hidden.numel() // hidden.shape[-1], _tile(SLOPE, hidden).rows)
    return rows


def gelu_gradient_plain(gradient: Tensor, weight: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Compute `gelu_gradient` in plain PyTorch, with the same shapes and a single sum."""
    with torch.enable_grad():
        inputs = hidden.detach().requires_grad_()
        (out,) = torch.autograd.grad(F.gelu(inputs), inputs, gradient @ weight)
    return out, out.flatten(end_dim=-2).float().sum(dim=0, keepdim=True)


def linear_residual(
    inputs: Float[Tensor, "*R D"],
    weight: Float[Tensor, "F D"],
    bias: Float[Tensor, " F"] | None,
    stream: Float[Tensor, "*R F"],
) -> Float[Tensor, "*R F"]:
    """Return `stream + inputs @ weight.T + bias`; the bias may be missing."""
    out = torch.empty_like(stream)
    _launch(RESIDUAL, inputs, weight, out, stream if bias is None else bias, stream, stream, bias is not None)
    return out


def linear_residual_plain(inputs: Tensor, weight: Tensor, bias: Tensor | None, stream: Tensor) -> Tensor:
    """Compute `linear_residual` in plain PyTorch, with the same shapes."""
    return stream + F.linear(inputs, weight, bias)


def multiply(
    inputs: Float[Tensor, "*R D"], weight: Float[Tensor, "F D"] | Float[Tensor, "D F"], is_transposed: bool = False
) -> Float[Tensor, "*R F"]:
    """Return `inputs @ weight.T`, or `inputs @ weight` for a weight that is stored transposed."""
    width = weight.shape[1] if is_transposed else weight.shape[0]
    out = inputs.new_empty((*inputs.shape[:-1], width))
    _launch(PLAIN, inputs, weight, out, out, out, out, has_bias=False, is_transposed=is_transposed)
    return out


def _launch(
    epilogue: int,
    inputs: Tensor,
    weight: Tensor,
    out: Tensor,
    vector: Tensor,
    side: Tensor,
    second: Tensor,
    has_bias: bool = True,
    is_transposed: bool = False,
) -> None:
    inner, width, tile = inputs.shape[-1], out.shape[-1], _tile(epilogue, inputs)
    rows = inputs.numel() // inner
    grid = (triton.cdiv(rows, tile.rows) * triton.cdiv(width, tile.columns),)
    # "ieee", because a matrix unit would round float32 inputs to TF32
    sizes = (width, inner, epilogue, has_bias, is_transposed, tile.rows, tile.columns, tile.inner, "ieee")
    tensors = (inputs.contiguous(), weight.contiguous(), out, vector, side, second)
    _linear[grid](*tensors, rows, *sizes, num_warps=tile.warps, num_stages=tile.stages)


def _tile(epilogue: int, inputs: Tensor) -> Tile:
    return EXACT_TILE if inputs.dtype == torch.float32 else TILES[epilogue]


@jit
def normal_distribution(value):
    """Return the normal distribution function of values, and exp(-value ** 2 / 2)."""
    bell = tl.exp2(value * value * -0.7213475204444817)
    t = tl.rsqrt(1 + tl.abs(value) * 0.2316418909590636)  # 0.3275911 / sqrt(2)
    t = t * t
    tail = 0.5 * 1.061405429 * t - 0.5 * 1.453152027
    tail = (tail * t + 0.5 * 1.421413741) * t - 0.5 * 0.284496736
    tail = (tail * t + 0.5 * 0.254829592) * t * bell
    return tl.where(value < 0, tail, 1 - tail), bell


@jit
def _linear(
    inputs,
    weight,
    out,
    vector,
    side,
    second,
    rows,
    width: tl.constexpr,
    inner: tl.constexpr,
    epilogue: tl.constexpr,
    has_bias: tl.constexpr,
    is_transposed: tl.constexpr,
    block_rows: tl.constexpr,
    block: tl.constexpr,
    block_inner: tl.constexpr,
    precision: tl.constexpr,
):
    """Compute one tile. The weight is [width, inner], or [inner, width] if it is transposed."""
    tiles: tl.constexpr = (width + block - 1) // block
    tile_row = tl.program_id(0) // tiles  # neighbors share the rows of the inputs, which are read from memory once
    row = tile_row * block_rows + tl.arange(0, block_rows)
    column = tl.program_id(0) % tiles * block + tl.arange(0, block)
    exists, inside = row < rows, column < width
    start = row.to(tl.int64)
    total = tl.zeros((block_rows, block), tl.float32)
    for first in range(0, inner, block_inner):
        step = first + tl.arange(0, block_inner)
        left_mask = exists[:, None] & (step < inner)[None, :]
        left = tl.load(inputs + start[:, None] * inner + step[None, :], left_mask, 0)
        right = _load_weight(weight, step, column, width, inner, is_transposed)
        total = tl.dot(left, right, total, input_precision=precision)
    place = start[:, None] * width + column[None, :]
    mask = exists[:, None] & inside[None, :]
    if epilogue == 0:
        _store_gelu(total, vector, out, second, column, inside, place, mask)
    elif epilogue == 1:
        sums = vector + tile_row * width + column
        _store_slope(total, side, out, sums, inside, place, mask)
    else:
        _store_residual(total, vector, side, out, column, inside, place, mask, has_bias, epilogue == 2)


@jit
def _load_weight(weight, step, column, width: tl.constexpr, inner: tl.constexpr, is_transposed: tl.constexpr):
    mask = (step < inner)[:, None] & (column < width)[None, :]
    if is_transposed:
        return tl.load(weight + step[:, None] * width + column[None, :], mask, 0)
    return tl.load(weight + column[None, :] * inner + step[:, None], mask, 0)


@jit
def _store_gelu(total, bias, out, hidden_out, column, inside, place, mask):
    """Store the input of the GELU, and the GELU."""
    total += tl.load(bias + column, inside, 0).to(tl.float32)[None, :]
    hidden = total.to(hidden_out.dtype.element_ty)
    tl.store(hidden_out + place, hidden, mask)
    value = hidden.to(tl.float32)  # rounded, as the backward pass reads it
    below, _ = normal_distribution(value)
    tl.store(out + place, (value * below).to(out.dtype.element_ty), mask)


@jit
def _store_slope(total, side, out, sums, inside, place, mask):
    """Store the gradient times the slope of the GELU, and its sum over the rows of the tile."""
    hidden = tl.load(side + place, mask, 0).to(tl.float32)
    below, bell = normal_distribution(hidden)
    gradient = tl.where(mask, total * (below + hidden * bell * 0.3989422804014327), 0)
    tl.store(out + place, gradient.to(out.dtype.element_ty), mask)
    tl.store(sums, tl.sum(gradient, axis=0), inside)


@jit
def _store_residual(
    total, bias, side, out, column, inside, place, mask, has_bias: tl.constexpr, has_side: tl.constexpr
):
    """Store the product, plus its bias and the stream where there are any."""
    if has_bias:
        total += tl.load(bias + column, inside, 0).to(tl.float32)[None, :]
    if has_side:
        total += tl.load(side + place, mask, 0).to(tl.float32)
    tl.store(out + place, total.to(out.dtype.element_ty), mask)
