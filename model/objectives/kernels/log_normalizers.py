"""Log-normalisers of anchors: a masked log-sum-exp over similarities to all views, which are never all in memory.

    log Z_i = log sum over keys j of exp(s_ij / t_i),     s the products of features

and on the way the mean of s_ij under the weights exp(s_ij / t_i) / Z_i, the slope of log Z in 1 / t, which learned
temperatures need. One pass over the tiles, with a running maximum (online softmax, Milakov and Gimelshein 2018);
products are accumulated in float32, and the rest is float32, whatever the type of the features. At 8,192 views of 128
features 17 GFLOP and 67 M exponentials. Plain: `normalisers_plain`.

Axes: A own view, E view of all ranks, D width.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from model.encoder.kernels.jit import fused, jit, power_of_two, tl
from model.objectives.kernels.comparisons import Comparisons, is_key
from model.objectives.kernels.tiling import Tiling, serves, tiling_of


def normalisers(
    own: Float[Tensor, "A D"],
    everyone: Float[Tensor, "E D"],
    temperature: Float[Tensor, " A"],
    keys: Comparisons,
    first: int,
) -> tuple[Float[Tensor, " A"], Float[Tensor, " A"]]:
    """Log Z of each own view and the mean similarity to its keys, without a gradient.

    Args:
        own: normalised features of own views.
        everyone: those of all views, own ones among them.
        temperature: t > 0 of each own view.
        keys: which views are summed; every own view must have one.
        first: where own views begin among all.

    Returns:
        Both in the type of `temperature`.
    """
    chosen = normalisers_fused if fused(own) and serves(own) else normalisers_plain
    return chosen(own, everyone, temperature, keys, first)


def normalisers_plain(
    own: Tensor, everyone: Tensor, temperature: Tensor, keys: Comparisons, first: int
) -> tuple[Float[Tensor, " A"], Float[Tensor, " A"]]:
    """`normalisers` in plain PyTorch, which holds several matrices `[A, E]`."""
    similarity = (own @ everyone.T).to(temperature.dtype)
    mask = keys.mask(len(own), len(everyone), first, own.device)
    logits = (similarity / temperature[:, None]).masked_fill_(~mask, -torch.inf)
    log_z = logits.logsumexp(dim=1)
    return log_z, (logits.sub_(log_z[:, None]).exp_() * similarity).sum(dim=1)


def normalisers_fused(
    own: Tensor, everyone: Tensor, temperature: Tensor, keys: Comparisons, first: int, tiling: Tiling | None = None
) -> tuple[Float[Tensor, " A"], Float[Tensor, " A"]]:
    """`normalisers` in one kernel, and some operations that join its parts `[parts, A]`; `tiling` is for tests."""
    tiling = tiling or tiling_of(own.dtype)
    (rows, width), columns = own.shape, len(everyone)
    grid, tiles = tiling.cut(rows, columns)
    logs, means = (torch.empty((grid[1], rows), dtype=torch.float32, device=own.device) for _ in range(2))
    tensors = (own.contiguous(), everyone.contiguous(), temperature.contiguous(), logs, means)
    sizes = (rows, columns, first, tiles, int(keys), width, tiling.rows, tiling.columns, max(16, power_of_two(width)))
    _normalisers[grid](*tensors, *sizes, num_warps=tiling.warps, num_stages=tiling.stages)
    log_z = logs.logsumexp(dim=0)
    return log_z, ((logs - log_z).exp() * means).sum(dim=0)


@jit
def _normalisers(
    own, everyone, temperature, logs, means, rows, columns, first, tiles,
    keys: tl.constexpr, width: tl.constexpr, block_rows: tl.constexpr, block: tl.constexpr, block_width: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    part = tl.program_id(1)
    feature = tl.arange(0, block_width)
    inside = row < rows
    place = row[:, None] * width + feature[None, :]
    anchors = tl.load(own + place, inside[:, None] & (feature < width)[None, :], 0)
    scale = 1.4426950408889634 / tl.load(temperature + row, inside, 1)  # exponents of 2: that is what a GPU computes
    highest = tl.full([block_rows], -1e30, tl.float32)  # finite: -inf - -inf is no number
    total = tl.zeros([block_rows], tl.float32)
    weighted = tl.zeros([block_rows], tl.float32)
    for tile in range(tiles):
        column = (part * tiles + tile) * block + tl.arange(0, block)
        there = (column < columns)[:, None] & (feature < width)[None, :]
        others = tl.load(everyone + column[:, None] * width + feature[None, :], there, 0)
        similarity = tl.dot(anchors, tl.trans(others), input_precision="ieee")
        key = is_key(row, column, first, rows, keys) & (column < columns)[None, :]
        logit = tl.where(key, similarity * scale[:, None], float("-inf"))
        now = tl.maximum(highest, tl.max(logit, axis=1))
        weight = tl.exp2(logit - now[:, None])
        kept = tl.exp2(highest - now)
        total = total * kept + tl.sum(weight, axis=1)
        weighted = weighted * kept + tl.sum(weight * similarity, axis=1)
        highest = now
    some = tl.where(total > 0, total, 1)  # a part may hold no key of a row
    log_z = tl.where(total > 0, (highest + tl.log2(some)) * 0.6931471805599453, float("-inf"))
    tl.store(logs + part * rows + row, log_z, inside)
    tl.store(means + part * rows + row, weighted / some, inside)
