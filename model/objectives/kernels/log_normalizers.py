"""Log-normalizers of anchors: a masked log-sum-exp over similarities to all views, computed tile by tile.

    log Z_i = log sum over compared views j of exp(s_ij / t_i),     s being the products of features

The same pass gives the mean of s_ij under the weights exp(s_ij / t_i) / Z_i. It is the derivative of log Z with respect
to 1 / t, which learned temperatures need. The kernel passes over the tiles once, with a running maximum (online
softmax, Milakov and Gimelshein 2018). Products are accumulated in float32, and everything else is float32 for every
type of feature. 8,192 views of 128 features take 17 GFLOP and 67 M exponentials. The reference is
`log_normalizers_plain`.

Axes: A own view, E view of all ranks, D width.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from model.encoder.kernels.jit import jit, power_of_two, tl, uses_kernels
from model.objectives.kernels.comparisons import Comparisons, is_compared
from model.objectives.kernels.tiling import Tiling, supports, tiling_for


def log_normalizers(
    own: Float[Tensor, "A D"],
    all_views: Float[Tensor, "E D"],
    temperature: Float[Tensor, " A"],
    comparisons: Comparisons,
    own_start: int,
) -> tuple[Float[Tensor, " A"], Float[Tensor, " A"]]:
    """Return log Z of each own view and its mean similarity to the compared views, without a gradient.

    Args:
        own: normalized features of own views.
        all_views: normalized features of the views of all ranks, own views included.
        temperature: t > 0 of each own view.
        comparisons: rule for the views that are summed; every own view must be compared with at least one.
        own_start: number of the first own view among all views.

    Returns:
        Both in the type of `temperature`.
    """
    function = log_normalizers_fused if uses_kernels(own) and supports(own) else log_normalizers_plain
    return function(own, all_views, temperature, comparisons, own_start)


def log_normalizers_plain(
    own: Tensor, all_views: Tensor, temperature: Tensor, comparisons: Comparisons, own_start: int
) -> tuple[Float[Tensor, " A"], Float[Tensor, " A"]]:
    """Compute `log_normalizers` in plain PyTorch, with several matrices `[A, E]` in memory."""
    similarity = (own @ all_views.T).to(temperature.dtype)
    mask = comparisons.mask(len(own), len(all_views), own_start, own.device)
    logits = (similarity / temperature[:, None]).masked_fill_(~mask, -torch.inf)
    log_z = logits.logsumexp(dim=1)
    return log_z, (logits.sub_(log_z[:, None]).exp_() * similarity).sum(dim=1)


def log_normalizers_fused(
    own: Tensor,
    all_views: Tensor,
    temperature: Tensor,
    comparisons: Comparisons,
    own_start: int,
    tiling: Tiling | None = None,
) -> tuple[Float[Tensor, " A"], Float[Tensor, " A"]]:
    """Compute `log_normalizers` in one kernel, and join the results of its column ranges, `[ranges, A]`.

    The argument `tiling` is for tests.
    """
    tiling = tiling or tiling_for(own.dtype)
    (rows, width), columns = own.shape, len(all_views)
    grid, tiles = tiling.grid(rows, columns)
    logs, means = (torch.empty((grid[1], rows), dtype=torch.float32, device=own.device) for _ in range(2))
    tensors = (own.contiguous(), all_views.contiguous(), temperature.contiguous(), logs, means)
    blocks = (tiling.rows, tiling.columns, max(16, power_of_two(width)))
    sizes = (rows, columns, own_start, tiles, int(comparisons), width, *blocks)
    _log_normalizers[grid](*tensors, *sizes, num_warps=tiling.warps, num_stages=tiling.stages)
    log_z = logs.logsumexp(dim=0)
    return log_z, ((logs - log_z).exp() * means).sum(dim=0)


@jit
def _log_normalizers(
    own, all_views, temperature, logs, means, rows, columns, own_start, tiles, comparisons: tl.constexpr,
    width: tl.constexpr, block_rows: tl.constexpr, block: tl.constexpr, block_width: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    column_range = tl.program_id(1)
    feature = tl.arange(0, block_width)
    inside = row < rows
    offset = row[:, None] * width + feature[None, :]
    anchors = tl.load(own + offset, inside[:, None] & (feature < width)[None, :], 0)
    scale = 1.4426950408889634 / tl.load(temperature + row, inside, 1)  # log2(e) / t for exp2
    maximum = tl.full([block_rows], -1e30, tl.float32)  # finite, because -inf - -inf is NaN
    total = tl.zeros([block_rows], tl.float32)
    weighted = tl.zeros([block_rows], tl.float32)
    for tile in range(tiles):
        column = (column_range * tiles + tile) * block + tl.arange(0, block)
        exists = (column < columns)[:, None] & (feature < width)[None, :]
        others = tl.load(all_views + column[:, None] * width + feature[None, :], exists, 0)
        similarity = tl.dot(anchors, tl.trans(others), input_precision="ieee")
        compared = is_compared(row, column, own_start, rows, comparisons) & (column < columns)[None, :]
        logit = tl.where(compared, similarity * scale[:, None], float("-inf"))
        new_maximum = tl.maximum(maximum, tl.max(logit, axis=1))
        weight = tl.exp2(logit - new_maximum[:, None])
        decay = tl.exp2(maximum - new_maximum)
        total = total * decay + tl.sum(weight, axis=1)
        weighted = weighted * decay + tl.sum(weight * similarity, axis=1)
        maximum = new_maximum
    divisor = tl.where(total > 0, total, 1)  # a column range may contain no compared view of a row
    log_z = tl.where(total > 0, (maximum + tl.log2(divisor)) * 0.6931471805599453, float("-inf"))
    tl.store(logs + column_range * rows + row, log_z, inside)
    tl.store(means + column_range * rows + row, weighted / divisor, inside)
