"""Repulsion gradients of own views: rows of weights times features, with weights that exist only in a tile.

    repulsion_k = sum over compared views j of (c_k q_kj + c_j q_jk) z_j,     q_ij = exp(s_ij / t_i - log Z_i)

Because s is symmetric, both weights of a pair come from one product of its features. Products are accumulated in
float32. In bfloat16 the weights are rounded to bfloat16 as well. 8,192 views of 128 features take 34 GFLOP and 134 M
exponentials. The reference is `repulsion_plain`.

Axes: A own view, E view of all ranks, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from model.encoder.kernels.jit import jit, power_of_two, tl, uses_kernels
from model.objectives.kernels.comparisons import Comparisons, is_compared
from model.objectives.kernels.tiling import Tiling, supports, tiling_for

_LOG2_E = 1.4426950408889634


@dataclass(frozen=True)
class Anchors:
    """The numbers of the anchors of all ranks that the repulsion gradient needs."""

    log_normalizer: Float[Tensor, " E"]
    """Log-normalizer log Z of each anchor."""
    temperature: Float[Tensor, " E"]
    """Temperature t > 0 of each anchor."""
    weight: Float[Tensor, " E"]
    """Weight c of each anchor: 1 / t if the loss is in units of its logits, 1 if it is multiplied by t."""

    def repulsion_weights(self, similarity: Float[Tensor, "V E"]) -> Float[Tensor, "V E"]:
        """Return the products c q of each anchor for views with these similarities to it."""
        weights: Tensor = (similarity / self.temperature - self.log_normalizer).exp() * self.weight
        return weights

    def __getitem__(self, rows: slice) -> Anchors:
        """Return the anchors in `rows`."""
        return Anchors(self.log_normalizer[rows], self.temperature[rows], self.weight[rows])


def repulsion(
    own: Float[Tensor, "A D"],
    all_views: Float[Tensor, "E D"],
    anchors: Anchors,
    comparisons: Comparisons,
    own_start: int,
) -> Float[Tensor, "A D"]:
    """Return the repulsion gradient of each own view, without a gradient of its own, in the type of the anchors.

    Args:
        own: normalized features of own views.
        all_views: normalized features of the views of all ranks, own views included.
        anchors: anchors of all ranks.
        comparisons: rule for the views that an anchor is compared with.
        own_start: number of the first own view among all views.
    """
    function = repulsion_fused if uses_kernels(own) and supports(own) else repulsion_plain
    return function(own, all_views, anchors, comparisons, own_start)


def repulsion_plain(
    own: Tensor, all_views: Tensor, anchors: Anchors, comparisons: Comparisons, own_start: int
) -> Float[Tensor, "A D"]:
    """Compute `repulsion` in plain PyTorch, with several matrices `[A, E]` in memory."""
    similarity = (own @ all_views.T).to(anchors.temperature.dtype)
    own_anchors = anchors[own_start : own_start + len(own)]
    weights = anchors.repulsion_weights(similarity) + own_anchors.repulsion_weights(similarity.T).T
    weights.masked_fill_(~comparisons.mask(len(own), len(all_views), own_start, own.device), 0)
    return weights @ all_views.to(weights.dtype)


def repulsion_fused(
    own: Tensor,
    all_views: Tensor,
    anchors: Anchors,
    comparisons: Comparisons,
    own_start: int,
    tiling: Tiling | None = None,
) -> Float[Tensor, "A D"]:
    """Compute `repulsion` in one kernel, and sum the results of its column ranges, `[ranges, A, D]`.

    The argument `tiling` is for tests.
    """
    tiling = tiling or tiling_for(own.dtype)
    (rows, width), columns = own.shape, len(all_views)
    grid, tiles = tiling.grid(rows, columns)
    out = torch.empty((grid[1], rows, width), dtype=torch.float32, device=own.device)
    # c exp(s / t - log Z) = 2 ** (s * slope + shift)
    slope, shift = _LOG2_E / anchors.temperature, anchors.weight.log2() - _LOG2_E * anchors.log_normalizer
    tensors = (own.contiguous(), all_views.contiguous(), slope, shift, out)
    blocks = (tiling.rows, tiling.columns, max(16, power_of_two(width)))
    sizes = (rows, columns, own_start, tiles, int(comparisons), width, *blocks)
    _repulsion[grid](*tensors, *sizes, num_warps=tiling.warps, num_stages=tiling.stages)
    return out.sum(dim=0)


@jit
def _repulsion(
    own, all_views, slope, shift, out, rows, columns, own_start, tiles, comparisons: tl.constexpr,
    width: tl.constexpr, block_rows: tl.constexpr, block: tl.constexpr, block_width: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    column_range = tl.program_id(1)
    feature = tl.arange(0, block_width)
    inside = row < rows
    offset = row[:, None] * width + feature[None, :]
    own_mask = inside[:, None] & (feature < width)[None, :]
    views = tl.load(own + offset, own_mask, 0)
    own_slope = tl.load(slope + own_start + row, inside, 0)
    own_shift = tl.load(shift + own_start + row, inside, 0)
    gradient = tl.zeros([block_rows, block_width], tl.float32)
    for tile in range(tiles):
        column = (column_range * tiles + tile) * block + tl.arange(0, block)
        exists = column < columns
        others_mask = exists[:, None] & (feature < width)[None, :]
        others = tl.load(all_views + column[:, None] * width + feature[None, :], others_mask, 0)
        similarity = tl.dot(views, tl.trans(others), input_precision="ieee")
        compared = is_compared(row, column, own_start, rows, comparisons) & exists[None, :]
        by_own = similarity * own_slope[:, None] + own_shift[:, None]
        other_slope, other_shift = tl.load(slope + column, exists, 0), tl.load(shift + column, exists, 0)
        by_others = similarity * other_slope[None, :] + other_shift[None, :]
        # masked before the exponential, which would overflow for a view and itself at a low temperature
        weight = tl.exp2(tl.where(compared, by_own, float("-inf"))) + tl.exp2(
            tl.where(compared, by_others, float("-inf"))
        )
        gradient = tl.dot(weight.to(others.dtype), others, gradient, input_precision="ieee")
    tl.store(out + column_range * rows * width + offset, gradient, own_mask)
