"""What ranks tell each other while they compute a loss: rows of tensors, gathered without a gradient.

A run of one process needs no process group: it is rank 0 of 1, and gathers what it has.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor


def rank() -> int:
    """Number of this process, 0 to `world_size() - 1`."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def gather_rows(rows: Shaped[Tensor, "R ..."]) -> Shaped[Tensor, "E ..."]:
    """The rows of all ranks, in the order of ranks, without a gradient.

    Every rank must call it, with the same shape and type. On a ring each rank sends `world_size() - 1` times the bytes
    of its own rows.
    """
    mine = rows.detach().contiguous()
    if world_size() == 1:
        return mine
    everyone = torch.empty((world_size() * len(mine), *mine.shape[1:]), dtype=mine.dtype, device=mine.device)
    dist.all_gather(list(everyone.chunk(world_size())), mine)
    return everyone
