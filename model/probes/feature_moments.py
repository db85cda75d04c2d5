"""Mean and standard deviation of features, also of those that do not fit into memory."""

from __future__ import annotations

import torch
from torch import Tensor

from stores import mapped_array

_BLOCK_ROWS = 4_096


def mean_and_deviation(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation of each column of `[clips, D]`, float64 `[D]`.

    Features that are larger than `mapped_array.MAX_RAM_BYTES` are read twice, in blocks.
    """
    if features.nbytes <= mapped_array.MAX_RAM_BYTES:
        double = features.double()
        return double.mean(0), double.std(0, correction=0)
    blocks = torch.split(features, _BLOCK_ROWS)
    mean = torch.stack([block.double().sum(0) for block in blocks]).sum(0) / len(features)
    squares = torch.stack([(block.double() - mean).square().sum(0) for block in blocks]).sum(0)
    return mean, (squares / len(features)).sqrt()
