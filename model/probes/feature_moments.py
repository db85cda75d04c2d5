"""Mean and standard deviation of features, also of those that do not fit into memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from stores import mapped_array

_BLOCK_ROWS = 4_096


def mean_and_deviation(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation of each column of `[clips, D]`, float64 `[D]`.

    Features that are larger than `mapped_array.BLOCK_BYTES` are read twice, in blocks.
    """
    if features.nbytes <= mapped_array.BLOCK_BYTES:
        double = features.double()
        return double.mean(0), double.std(0, correction=0)
    mean = _sum_of_blocks(features, lambda block: block) / len(features)
    squares = _sum_of_blocks(features, lambda block: (block - mean).square_())
    return mean, (squares / len(features)).sqrt()


def _sum_of_blocks(features: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the sum of each column of `function(features)`, which gets blocks of the features as float64."""
    blocks = torch.split(features, _BLOCK_ROWS)
    sums = features.new_empty((len(blocks), features.shape[1]), dtype=torch.float64)
    for place, block in enumerate(blocks):
        sums[place] = function(block.double()).sum(0)
    return sums.sum(0)
