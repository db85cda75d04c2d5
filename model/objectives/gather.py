"""Communication between ranks while they compute a loss: rows of tensors are gathered without a gradient.

A run of one process needs no process group. It is rank 0 of 1 and gathers its own rows.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor


def rank() -> int:
    """Return the number of this process, from 0 to `world_size() - 1`."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def gather_rows(rows: Shaped[Tensor, "R ..."]) -> Shaped[Tensor, "E ..."]:
    """Return the rows of all ranks, in the order of the ranks, without a gradient.

    Every rank must call this function with rows of the same shape and type. On a ring, each rank sends
    `world_size() - 1` times the bytes of its own rows.
    """
    own = rows.detach().contiguous()
    if world_size() == 1:
        return own
    gathered = torch.empty((world_size() * len(own), *own.shape[1:]), dtype=own.dtype, device=own.device)
    dist.all_gather(list(gathered.chunk(world_size())), own)
    return gathered
