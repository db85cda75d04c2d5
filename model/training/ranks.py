"""Processes that train together, as torchrun starts them; a run that it did not start is rank 0 of 1.

Every rank holds all weights and all that is remembered of clips, and takes its part of each batch. Rank 0 writes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from model.objectives.gather import rank, world_size
from stores.errors import InvalidInput

PATIENCE = timedelta(hours=4)
"""With a rank that does not come: rank 0 may be making shards, an hour for two million clips. NCCL's own is 10 min."""


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Join the other ranks for as long as the block runs: NCCL on GPUs, gloo on CPUs; nothing outside of torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def is_main_process() -> bool:
    """Whether this rank writes files and prints."""
    return rank() == 0


def part_of(batch: int) -> slice:
    """The clips of a batch that are this rank's.

    Raises:
        InvalidInput: the ranks cannot share them evenly, or get fewer than two.
    """
    ranks = world_size()
    if batch % ranks or batch // ranks < 2:
        raise InvalidInput(
            f"a batch of {batch} clips for {ranks} ranks; make --batch a multiple of {ranks}, at least {2 * ranks}"
        )
    return slice(rank() * batch // ranks, (rank() + 1) * batch // ranks)


def mean(value: Tensor) -> Tensor:
    """Mean over all ranks of a tensor, of any shape; every rank must call it."""
    if is_single_process():
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / world_size()


def average_(values: Tensor) -> None:
    """Make `values`, of any shape, the mean over all ranks, in place; every rank must call it."""
    if not is_single_process():
        dist.all_reduce(values)
        values /= world_size()


def is_single_process() -> bool:
    """Whether there is no other rank."""
    return world_size() == 1


def anyone(flag: bool, device: torch.device) -> bool:
    """Whether the flag is up on some rank; every rank must call it."""
    return flag if is_single_process() else bool(mean(torch.tensor(float(flag), device=device)) > 0)


def wait() -> None:
    """Go on when all ranks are here."""
    if not is_single_process():
        dist.barrier()
