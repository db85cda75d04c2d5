"""How all views together push each own view away: rows of weights times features, weights made and used in a tile.

    push_k = sum over keys j of (c_k q_kj + c_j q_jk) z_j,     q_ij = exp(s_ij / t_i - log Z_i)

s is symmetric, so both weights of a pair come from the one product of its features. Products are accumulated in
float32; in bfloat16 the weights are rounded, too. At 8,192 views of 128 features 34 GFLOP and 134 M exponentials.
Plain: `pushes_plain`.

Axes: A own view, E view of all ranks, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from model.encoder.kernels.jit import fused, jit, power_of_two, tl
from model.objectives.kernels.comparisons import Comparisons, is_key
from model.objectives.kernels.tiling import Tiling, serves, tiling_of

_LOG2_E = 1.4426950408889634


@dataclass(frozen=True)
class Anchors:
    """What must be known of each anchor of all ranks."""

    log_normaliser: Float[Tensor, " E"]
    """log Z."""
    temperature: Float[Tensor, " E"]
    """t > 0."""
    weight: Float[Tensor, " E"]
    """c: 1 / t for a loss in units of its logits, 1 for one that is multiplied by t."""

    def pushes(self, similarity: Float[Tensor, "V E"]) -> Float[Tensor, "V E"]:
        """The products c q: how strongly each anchor pushes views away whose similarities to it these are."""
        pushed: Tensor = (similarity / self.temperature - self.log_normaliser).exp() * self.weight
        return pushed

    def __getitem__(self, place: slice) -> Anchors:
        """Some of them."""
        return Anchors(self.log_normaliser[place], self.temperature[place], self.weight[place])


def pushes(
    own: Float[Tensor, "A D"], everyone: Float[Tensor, "E D"], anchors: Anchors, keys: Comparisons, first: int
) -> Float[Tensor, "A D"]:
    """The push on each own view, without a gradient, in the type of the anchors' normalisers.

    Args:
        own: normalised features of own views.
        everyone: those of all views, own ones among them.
        anchors: of all views.
        keys: which views an anchor pushes.
        first: where own views begin among all.
    """
    chosen = pushes_fused if fused(own) and serves(own) else pushes_plain
    return chosen(own, everyone, anchors, keys, first)


def pushes_plain(
    own: Tensor, everyone: Tensor, anchors: Anchors, keys: Comparisons, first: int
) -> Float[Tensor, "A D"]:
    """`pushes` in plain PyTorch, which holds several matrices `[A, E]`."""
    similarity = (own @ everyone.T).to(anchors.temperature.dtype)
    push = anchors.pushes(similarity) + anchors[first : first + len(own)].pushes(similarity.T).T
    push.masked_fill_(~keys.mask(len(own), len(everyone), first, own.device), 0)
    return push @ everyone.to(push.dtype)


def pushes_fused(
    own: Tensor, everyone: Tensor, anchors: Anchors, keys: Comparisons, first: int, tiling: Tiling | None = None
) -> Float[Tensor, "A D"]:
    """`pushes` in one kernel, and a sum over its parts `[parts, A, D]`; `tiling` is for tests."""
    tiling = tiling or tiling_of(own.dtype)
    (rows, width), columns = own.shape, len(everyone)
    grid, tiles = tiling.cut(rows, columns)
    out = torch.empty((grid[1], rows, width), dtype=torch.float32, device=own.device)
    # c exp(s / t - log Z) = 2 ** (s * slope + shift)
    slope, shift = _LOG2_E / anchors.temperature, anchors.weight.log2() - _LOG2_E * anchors.log_normaliser
    tensors = (own.contiguous(), everyone.contiguous(), slope, shift, out)
    sizes = (rows, columns, first, tiles, int(keys), width, tiling.rows, tiling.columns, max(16, power_of_two(width)))
    _pushes[grid](*tensors, *sizes, num_warps=tiling.warps, num_stages=tiling.stages)
    return out.sum(dim=0)


@jit
def _pushes(
    own, everyone, slope, shift, out, rows, columns, first, tiles,
    keys: tl.constexpr, width: tl.constexpr, block_rows: tl.constexpr, block: tl.constexpr, block_width: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    part = tl.program_id(1)
    feature = tl.arange(0, block_width)
    inside = row < rows
    place = row[:, None] * width + feature[None, :]
    here = inside[:, None] & (feature < width)[None, :]
    mine = tl.load(own + place, here, 0)
    my_slope = tl.load(slope + first + row, inside, 0)
    my_shift = tl.load(shift + first + row, inside, 0)
    pushed = tl.zeros([block_rows, block_width], tl.float32)
    for tile in range(tiles):
        column = (part * tiles + tile) * block + tl.arange(0, block)
        real = column < columns
        there = real[:, None] & (feature < width)[None, :]
        others = tl.load(everyone + column[:, None] * width + feature[None, :], there, 0)
        similarity = tl.dot(mine, tl.trans(others), input_precision="ieee")
        key = is_key(row, column, first, rows, keys) & real[None, :]
        by_me = similarity * my_slope[:, None] + my_shift[:, None]
        by_them = similarity * tl.load(slope + column, real, 0)[None, :] + tl.load(shift + column, real, 0)[None, :]
        # masked before the exponential, which would overflow for a view and itself at a low temperature
        push = tl.exp2(tl.where(key, by_me, float("-inf"))) + tl.exp2(tl.where(key, by_them, float("-inf")))
        pushed = tl.dot(push.to(others.dtype), others, pushed, input_precision="ieee")
    tl.store(out + part * rows * width + place, pushed, here)
