"""Attention over the few tokens of a window: whole windows are packed into a tile, where tokens see their own only.

Five visible tokens would fill a third of the smallest tile of a matrix unit, and a FlashAttention tile not at all. Here
a tile of 64 rows holds the tokens of 12 windows; the scores of different windows are masked. Queries, keys and values
are read where the projection left them, so nothing is transposed or copied. Memory-bound: it moves 4 · D values a token
forward, 7 · D backward. Plain: `attend_plain`, PyTorch's own; `_Batched` is what a CPU runs, where PyTorch's takes four
times as long for five tokens.

Axes: B window, L token, H head, D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float
from torch import Tensor

from model.encoder.kernels.jit import fused, jit, power_of_two, tl, triton

_ROWS = 64
"""Tokens of a tile, or the power of two that holds a window's, if that is more."""


def attend(qkv: Float[Tensor, "B L three*H*D"], heads: int) -> Float[Tensor, "B L H*D"]:
    """Multi-head self-attention within each window, scores scaled by D ** -0.5, softmax in float32.

    Args:
        qkv: queries, keys and values side by side, each head by head.
        heads: H.
    """
    if fused(qkv):
        return attend_fused(qkv, heads)
    if qkv.requires_grad and torch.is_grad_enabled():
        return _Batched.apply(qkv, heads)
    return attend_plain(qkv, heads)


def attend_plain(qkv: Tensor, heads: int) -> Tensor:
    """`attend` by PyTorch's own attention; the same shapes."""
    query, key, value = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def attend_fused(qkv: Tensor, heads: int) -> Tensor:
    """`attend` in one kernel forward and one backward; the same shapes."""
    return _Packed.apply(qkv, heads)


class _Batched(torch.autograd.Function):
    """Small products, one per window and head, with the gradient written out."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int) -> Tensor:
        """Attend; keeps queries, keys, values and probabilities."""
        query, key, value = _by_head(qkv, heads, 3)
        scores = torch.bmm(query, key.mT).float().mul_(query.shape[-1] ** -0.5)
        scores.sub_(scores.amax(-1, keepdim=True)).exp_()
        probabilities = scores.div_(scores.sum(-1, keepdim=True)).to(qkv.dtype)
        ctx.save_for_backward(query, key, value, probabilities)
        ctx.heads = heads
        return _by_token(torch.bmm(probabilities, value)[None], heads)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Of queries, keys and values, side by side again."""
        query, key, value, probabilities = ctx.saved_tensors
        (gradient,) = _by_head(gradient, ctx.heads, 1)
        out = torch.empty((3, *query.shape), dtype=query.dtype, device=query.device)
        torch.bmm(probabilities.mT, gradient, out=out[2])
        of_score, probability = torch.bmm(gradient, value.mT).float(), probabilities.float()
        of_score.sub_((of_score * probability).sum(-1, keepdim=True)).mul_(probability)
        scaled = of_score.mul_(query.shape[-1] ** -0.5).to(query.dtype)
        torch.bmm(scaled, key, out=out[0])
        torch.bmm(scaled.mT, query, out=out[1])
        return _by_token(out, ctx.heads), None


def _by_head(tokens: Tensor, heads: int, parts: int) -> Tensor:
    """`[B, L, parts * H * D]` to `[parts, B * H, L, D]`."""
    split = tokens.unflatten(-1, (parts, heads, -1)).permute(2, 0, 3, 1, 4)
    return split.reshape(parts, -1, tokens.shape[1], split.shape[-1])


def _by_token(by_head: Tensor, heads: int) -> Tensor:
    """The inverse of `_by_head`."""
    return by_head.unflatten(1, (-1, heads)).permute(1, 3, 0, 2, 4).flatten(2)


class _Packed(torch.autograd.Function):
    """The kernels; probabilities are computed again in the backward pass, which is cheaper than keeping them."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int) -> Tensor:
        """Attend; keeps its input."""
        qkv = qkv.contiguous()
        out = qkv.new_empty((*qkv.shape[:2], qkv.shape[2] // 3))
        _forward[_grid(qkv, heads)](qkv, out, qkv.shape[0] * qkv.shape[1], *_sizes(qkv, heads))
        ctx.save_for_backward(qkv)
        ctx.heads = heads
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Of queries, keys and values, side by side."""
        (qkv,) = ctx.saved_tensors
        out = torch.empty_like(qkv)
        tokens = qkv.shape[0] * qkv.shape[1]
        _backward[_grid(qkv, ctx.heads)](qkv, gradient.contiguous(), out, tokens, *_sizes(qkv, ctx.heads))
        return out, None


def _sizes(qkv: Tensor, heads: int) -> tuple[Any, ...]:
    """Of the kernels: tokens of a window, heads, width of a head, its block, rows of a tile, scale, precision."""
    length, width = qkv.shape[1], qkv.shape[2] // (3 * heads)
    rows = max(_ROWS, power_of_two(length))
    # in float32 a matrix unit would round its inputs to TF32
    return length, heads, width, max(16, power_of_two(width)), rows, width**-0.5, "ieee"


def _grid(qkv: Tensor, heads: int) -> tuple[int, int]:
    length = qkv.shape[1]
    windows = max(_ROWS, power_of_two(length)) // length
    return triton.cdiv(qkv.shape[0], windows), heads  # the long axis first: others end at 65,535


@jit
def _tile(tokens, length: tl.constexpr, rows: tl.constexpr):
    """Rows of this tile: number of each token, whether it is there, and its window."""
    row = tl.arange(0, rows)
    packed: tl.constexpr = rows // length * length
    token = tl.program_id(0) * packed + row
    return token, (row < packed) & (token < tokens), row // length


@jit
def _load(base, token, there, stride: tl.constexpr, width: tl.constexpr, block: tl.constexpr):
    column = tl.arange(0, block)
    mask = there[:, None] & (column < width)[None, :]
    return tl.load(base + token.to(tl.int64)[:, None] * stride + column[None, :], mask, 0)


@jit
def _store(base, token, there, value, stride: tl.constexpr, width: tl.constexpr, block: tl.constexpr):
    column = tl.arange(0, block)
    mask = there[:, None] & (column < width)[None, :]
    tl.store(base + token.to(tl.int64)[:, None] * stride + column[None, :], value.to(base.dtype.element_ty), mask)


@jit
def _probabilities(query, key, there, window, scale: tl.constexpr, precision: tl.constexpr):
    """Softmax over the tokens of the same window; rows without a token attend to whatever has none, and are dropped."""
    score = tl.dot(query, tl.trans(key), input_precision=precision) * scale
    own = (window[:, None] == window[None, :]) & (there[:, None] == there[None, :])
    score = tl.where(own, score, -float("inf"))
    weight = tl.exp(score - tl.max(score, axis=1)[:, None])
    return weight / tl.sum(weight, axis=1)[:, None]


@jit
def _forward(
    qkv,
    out,
    tokens,
    length: tl.constexpr,
    heads: tl.constexpr,
    width: tl.constexpr,
    block: tl.constexpr,
    rows: tl.constexpr,
    scale: tl.constexpr,
    precision: tl.constexpr,
):
    token, there, window = _tile(tokens, length, rows)
    inner: tl.constexpr = heads * width
    base = qkv + tl.program_id(1) * width
    query = _load(base, token, there, 3 * inner, width, block)
    key = _load(base + inner, token, there, 3 * inner, width, block)
    value = _load(base + 2 * inner, token, there, 3 * inner, width, block)
    probability = _probabilities(query, key, there, window, scale, precision)
    attended = tl.dot(probability.to(value.dtype), value, input_precision=precision)
    _store(out + tl.program_id(1) * width, token, there, attended, inner, width, block)


@jit
def _backward(
    qkv,
    gradient,
    out,
    tokens,
    length: tl.constexpr,
    heads: tl.constexpr,
    width: tl.constexpr,
    block: tl.constexpr,
    rows: tl.constexpr,
    scale: tl.constexpr,
    precision: tl.constexpr,
):
    token, there, window = _tile(tokens, length, rows)
    inner: tl.constexpr = heads * width
    head = tl.program_id(1) * width
    query = _load(qkv + head, token, there, 3 * inner, width, block)
    key = _load(qkv + head + inner, token, there, 3 * inner, width, block)
    value = _load(qkv + head + 2 * inner, token, there, 3 * inner, width, block)
    of_out = _load(gradient + head, token, there, inner, width, block)
    probability = _probabilities(query, key, there, window, scale, precision)
    of_value = tl.dot(tl.trans(probability.to(value.dtype)), of_out, input_precision=precision)
    of_probability = tl.dot(of_out, tl.trans(value), input_precision=precision)
    balance = tl.sum(of_probability * probability, axis=1)
    of_score = (probability * (of_probability - balance[:, None]) * scale).to(query.dtype)
    of_query = tl.dot(of_score, key, input_precision=precision)
    of_key = tl.dot(tl.trans(of_score), query, input_precision=precision)
    _store(out + head, token, there, of_query, 3 * inner, width, block)
    _store(out + head + inner, token, there, of_key, 3 * inner, width, block)
    _store(out + head + 2 * inner, token, there, of_value, 3 * inner, width, block)
