"""Processes that train together under torchrun; a process that torchrun did not start is rank 0 of 1.

Every rank holds all weights and everything that the objective remembers of clips. It computes its share of each batch.
Rank 0, the main process, writes files and prints.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import distributed_c10d

from model.objectives.gather import rank, world_size
from stores.errors import InvalidInput, MynaError
from stores.lock import write_lock

Result = TypeVar("Result")
START_TIMEOUT = timedelta(hours=4)
"""Time to wait for another rank before the first step. Rank 0 may be writing shards, which takes an hour for two
million clips. `step_timeout` states the time in a step."""


class RanksLost(MynaError):
    """A rank has died, stands still or cannot be reached."""


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the other ranks while the block runs, by NCCL on GPUs and gloo on CPUs; do nothing outside of torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=START_TIMEOUT)
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def step_timeout(seconds: float) -> Iterator[None]:
    """Let this rank wait at most `seconds` for the others at any place of the block, which is the training.

    Every rank ends: those that wait raise an error, and torchrun then ends those that stand still.

    Raises:
        RanksLost: another rank did not answer in time, or its connection has ended.
    """
    if is_single_process():
        yield
        return
    # PyTorch has no public function for this, and a second group of processes would need every collective to name it
    distributed_c10d._set_pg_timeout(timedelta(seconds=seconds))
    try:
        yield
    except RuntimeError as error:
        if not _is_of_ranks(error):
            raise
        raise RanksLost(
            f"rank {rank()} of {world_size()} lost another rank, or waited for it for {seconds:g} s "
            f"(--rank-timeout-seconds): {str(error).splitlines()[0]}; start the same command again, with any number of "
            "ranks, to continue from the newest checkpoint"
        ) from error


def _is_of_ranks(error: RuntimeError) -> bool:
    """Return whether an error comes from the connection to other ranks. Gloo raises plain errors with these words."""
    return isinstance(error, dist.DistError) or any(word in str(error).lower() for word in ("gloo", "connection"))


@contextlib.contextmanager
def write_lock_of_main_process(path: Path) -> Iterator[None]:
    """Hold the write lock of `path` in rank 0, for which the other ranks wait; every rank must enter this block.

    Raises:
        InvalidInput: another process holds the lock. Only rank 0 raises it, and torchrun then ends the others.
    """
    with write_lock(path) if is_main_process() else contextlib.nullcontext():
        barrier()
        yield


def is_main_process() -> bool:
    """Return whether this process is rank 0, which writes files and prints."""
    return rank() == 0


def is_single_process() -> bool:
    """Return whether there is only one rank."""
    return world_size() == 1


def local_slice(batch: int) -> slice:
    """Return the slice of a batch of `batch` clips that this rank computes.

    Raises:
        InvalidInput: the ranks cannot share the clips evenly, or get fewer than two clips each.
    """
    count = world_size()
    if batch % count or batch // count < 2:
        raise InvalidInput(
            f"{count} ranks cannot share a batch of {batch} clips; --batch must be a multiple of {count} and at least "
            f"{2 * count}"
        )
    return slice(rank() * batch // count, (rank() + 1) * batch // count)


def mean(value: Tensor) -> Tensor:
    """Return the mean over all ranks of a tensor of any shape; every rank must call this function."""
    if is_single_process():
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / world_size()


def average_(values: Tensor) -> None:
    """Replace `values`, of any shape, by their mean over all ranks in place; every rank must call this function."""
    if not is_single_process():
        dist.all_reduce(values)
        values /= world_size()


def from_main_process(compute: Callable[[], Result], device: torch.device) -> Result:
    """Return what `compute` returns in rank 0, where alone it is called; every rank must call this function."""
    if is_single_process():
        return compute()
    values = [compute() if is_main_process() else None]
    dist.broadcast_object_list(values, src=0, device=device)
    return cast(Result, values[0])


def highest(value: int, device: torch.device) -> int:
    """Return the largest `value` of all ranks; every rank must call this function."""
    if is_single_process():
        return value
    largest = torch.tensor(value, device=device)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def barrier() -> None:
    """Wait until all ranks have called this function."""
    if not is_single_process():
        dist.barrier()
