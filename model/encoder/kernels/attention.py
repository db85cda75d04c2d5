"""Attention over the few tokens of a window, with several windows packed into a tile.

Five visible tokens would fill a third of the smallest tile of a matrix unit, and far less of a FlashAttention tile.
Here a tile of 64 rows holds the tokens of 12 windows, and the scores between tokens of different windows are masked.
Queries, keys and values are read in the layout of the projection, so nothing is transposed or copied. The speed is
limited by memory: attention moves 4 · D values per token forward and 7 · D backward. The reference is `attend_plain`,
which is PyTorch's own attention. On a CPU, training runs `_BatchedAttention`, because PyTorch's attention takes four
times as long there for five tokens.

Axes: B window, L token, H head, D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- its customary name
from jaxtyping import Float
from torch import Tensor

from model.encoder.kernels.jit import jit, power_of_two, tl, triton, uses_kernels

_ROWS = {torch.bfloat16: 64, torch.float16: 64, torch.float32: 16}
"""Tokens of a tile; a window with more tokens gets the next power of two. Larger tiles in float32 spill registers."""


def attend(qkv: Float[Tensor, "B L three*H*D"], heads: int) -> Float[Tensor, "B L H*D"]:
    """Return multi-head self-attention within each window, with scores scaled by D ** -0.5 and a float32 softmax.

    Args:
        qkv: queries, keys and values side by side, each head after head.
        heads: number H of heads.
    """
    if uses_kernels(qkv):
        return attend_fused(qkv, heads)
    if qkv.requires_grad and torch.is_grad_enabled():
        return _BatchedAttention.apply(qkv, heads)
    return attend_plain(qkv, heads)


def attend_plain(qkv: Tensor, heads: int) -> Tensor:
    """Compute `attend` by PyTorch's own attention, with the same shapes."""
    query, key, value = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def attend_fused(qkv: Tensor, heads: int) -> Tensor:
    """Compute `attend` in one kernel forward and one backward, with the same shapes."""
    return _PackedAttention.apply(qkv, heads)


class _BatchedAttention(torch.autograd.Function):
    """Attention by small matrix products, one for each window and head, with a hand-written gradient."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int) -> Tensor:
        """Attend; save queries, keys, values and probabilities."""
        query, key, value = _by_head(qkv, heads, 3)
        scores = torch.bmm(query, key.mT).float().mul_(query.shape[-1] ** -0.5)
        scores.sub_(scores.amax(-1, keepdim=True)).exp_()
        probabilities = scores.div_(scores.sum(-1, keepdim=True)).to(qkv.dtype)
        ctx.save_for_backward(query, key, value, probabilities)
        ctx.heads = heads
        return _by_token(torch.bmm(probabilities, value)[None], heads)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradients of queries, keys and values, side by side."""
        query, key, value, probabilities = ctx.saved_tensors
        (gradient,) = _by_head(gradient, ctx.heads, 1)
        out = torch.empty((3, *query.shape), dtype=query.dtype, device=query.device)
        torch.bmm(probabilities.mT, gradient, out=out[2])
        grad_score, probability = torch.bmm(gradient, value.mT).float(), probabilities.float()
        grad_score.sub_((grad_score * probability).sum(-1, keepdim=True)).mul_(probability)
        scaled = grad_score.mul_(query.shape[-1] ** -0.5).to(query.dtype)
        torch.bmm(scaled, key, out=out[0])
        torch.bmm(scaled.mT, query, out=out[1])
        return _by_token(out, ctx.heads), None


def _by_head(tokens: Tensor, heads: int, groups: int) -> Tensor:
    """Reorder `[B, L, groups * H * D]` to `[groups, B * H, L, D]`."""
    split = tokens.unflatten(-1, (groups, heads, -1)).permute(2, 0, 3, 1, 4)
    return split.reshape(groups, -1, tokens.shape[1], split.shape[-1])


def _by_token(by_head: Tensor, heads: int) -> Tensor:
    """Reorder `[groups, B * H, L, D]` to `[B, L, groups * H * D]`."""
    return by_head.unflatten(1, (-1, heads)).permute(1, 3, 0, 2, 4).flatten(2)


class _PackedAttention(torch.autograd.Function):
    """Attention by the kernels; the backward pass recomputes probabilities, which is cheaper than saving them."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int) -> Tensor:
        """Attend; save the input."""
        qkv = qkv.contiguous()
        out = qkv.new_empty((*qkv.shape[:2], qkv.shape[2] // 3))
        _forward[_grid(qkv, heads)](qkv, out, qkv.shape[0] * qkv.shape[1], *_sizes(qkv, heads))
        ctx.save_for_backward(qkv)
        ctx.heads = heads
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradients of queries, keys and values, side by side."""
        (qkv,) = ctx.saved_tensors
        out = torch.empty_like(qkv)
        tokens = qkv.shape[0] * qkv.shape[1]
        _backward[_grid(qkv, ctx.heads)](qkv, gradient.contiguous(), out, tokens, *_sizes(qkv, ctx.heads))
        return out, None


def _sizes(qkv: Tensor, heads: int) -> tuple[Any, ...]:
    """Return tokens of a window, heads, width of a head, its block, rows of a tile, scale and precision."""
    length, width = qkv.shape[1], qkv.shape[2] // (3 * heads)
    rows = _tile_rows(qkv)
    # "ieee", because a matrix unit would round float32 inputs to TF32
    return length, heads, width, max(16, power_of_two(width)), rows, width**-0.5, "ieee"


def _grid(qkv: Tensor, heads: int) -> tuple[int, int]:
    windows = _tile_rows(qkv) // qkv.shape[1]
    return triton.cdiv(qkv.shape[0], windows), heads  # the long axis first, because the other axes end at 65,535


def _tile_rows(qkv: Tensor) -> int:
    return max(_ROWS[qkv.dtype], power_of_two(qkv.shape[1]))


@jit
def _tile(tokens, length: tl.constexpr, rows: tl.constexpr):
    """Return for each row of this tile the number of its token, whether this token exists, and its window."""
    row = tl.arange(0, rows)
    packed: tl.constexpr = rows // length * length
    token = tl.program_id(0) * packed + row
    return token, (row < packed) & (token < tokens), row // length


@jit
def _load(base, token, exists, stride: tl.constexpr, width: tl.constexpr, block: tl.constexpr):
    column = tl.arange(0, block)
    mask = exists[:, None] & (column < width)[None, :]
    return tl.load(base + token.to(tl.int64)[:, None] * stride + column[None, :], mask, 0)


@jit
def _store(base, token, exists, value, stride: tl.constexpr, width: tl.constexpr, block: tl.constexpr):
    column = tl.arange(0, block)
    mask = exists[:, None] & (column < width)[None, :]
    tl.store(base + token.to(tl.int64)[:, None] * stride + column[None, :], value.to(base.dtype.element_ty), mask)


@jit
def _probabilities(query, key, exists, window, scale: tl.constexpr, precision: tl.constexpr):
    """Return the softmax over the tokens of the same window; rows without a token attend to each other, unused."""
    score = tl.dot(query, tl.trans(key), input_precision=precision) * scale
    own = (window[:, None] == window[None, :]) & (exists[:, None] == exists[None, :])
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
    token, exists, window = _tile(tokens, length, rows)
    inner: tl.constexpr = heads * width
    base = qkv + tl.program_id(1) * width
    query = _load(base, token, exists, 3 * inner, width, block)
    key = _load(base + inner, token, exists, 3 * inner, width, block)
    value = _load(base + 2 * inner, token, exists, 3 * inner, width, block)
    probability = _probabilities(query, key, exists, window, scale, precision)
    attended = tl.dot(probability.to(value.dtype), value, input_precision=precision)
    _store(out + tl.program_id(1) * width, token, exists, attended, inner, width, block)


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
    token, exists, window = _tile(tokens, length, rows)
    inner: tl.constexpr = heads * width
    head = tl.program_id(1) * width
    query = _load(qkv + head, token, exists, 3 * inner, width, block)
    key = _load(qkv + head + inner, token, exists, 3 * inner, width, block)
    value = _load(qkv + head + 2 * inner, token, exists, 3 * inner, width, block)
    grad_out = _load(gradient + head, token, exists, inner, width, block)
    probability = _probabilities(query, key, exists, window, scale, precision)
    grad_value = tl.dot(tl.trans(probability.to(value.dtype)), grad_out, input_precision=precision)
    grad_probability = tl.dot(grad_out, tl.trans(value), input_precision=precision)
    balance = tl.sum(grad_probability * probability, axis=1)
    grad_score = (probability * (grad_probability - balance[:, None]) * scale).to(query.dtype)
    grad_query = tl.dot(grad_score, key, input_precision=precision)
    grad_key = tl.dot(tl.trans(grad_score), query, input_precision=precision)
    _store(out + head, token, exists, grad_query, 3 * inner, width, block)
    _store(out + head + inner, token, exists, grad_key, 3 * inner, width, block)
    _store(out + head + 2 * inner, token, exists, grad_value, 3 * inner, width, block)
