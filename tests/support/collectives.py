"""Ranks as processes on one machine, and the bytes that they send, counted below the code that sends them."""

from __future__ import annotations

import math
import multiprocessing
import traceback
import warnings

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_nn
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode


def on_ranks(ranks, work, folder, *arguments):
    """What `work(folder, *arguments)` returns on each of so many ranks, joined by gloo."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "model.training.loop", __name__])
    queue = context.Queue()
    meeting = f"file://{folder}/meeting-{ranks}-{work.__name__}"
    processes = [
        context.Process(target=_rank, args=(queue, meeting, rank, ranks, work, folder, arguments))
        for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    told = dict(queue.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    failed = [value for value in told.values() if isinstance(value, str)]
    assert not failed, failed[0]
    return [told[rank] for rank in range(ranks)]


def _rank(queue, meeting, rank, ranks, work, folder, arguments):
    torch.set_num_threads(1)
    try:
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=ranks)
        result = work(folder, *arguments)
        dist.destroy_process_group()
    except Exception:  # noqa: BLE001 -- whatever it is, the test that waits must be told
        result = traceback.format_exc()
    queue.put((rank, result))


def _bytes(tensors):
    flat = torch.utils._pytree.tree_leaves(tensors)
    return sum(one.numel() * one.element_size() for one in flat if isinstance(one, torch.Tensor))


class SentBytes(TorchDispatchMode):
    """Bytes that this rank sends while it is entered, on a ring, by the collectives that reach PyTorch's dispatcher."""

    def __init__(self):
        super().__init__()
        self.total, self.calls = 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        namespace, name = func.name().split("::")
        if namespace == "c10d":
            self.calls.append(name)
            self.total += self._sent(name, args)
        return func(*args, **(kwargs or {}))

    @staticmethod
    def _sent(name, args):
        ranks = dist.get_world_size()
        if name == "allgather_":
            return _bytes(args[1]) * (ranks - 1)
        if name == "scatter_":  # from one rank, which alone has something to send
            return _bytes(args[1]) * (ranks - 1) // ranks
        if name.startswith("allreduce_"):
            return math.ceil(2 * _bytes(args[0]) * (ranks - 1) / ranks)
        raise AssertionError(f"{name} is not counted yet")


def openclip_loss(first, second, temperature):
    """OpenCLIP's loss with `local_loss` and `gather_with_grad`: features are gathered, gradients are sent back."""
    first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # deprecated, but what OpenCLIP calls
        firsts, seconds = (torch.cat(dist_nn.all_gather(side)) for side in (first, second))
    labels = torch.arange(len(first)) + dist.get_rank() * len(first)
    there = F.cross_entropy(first @ seconds.T / temperature, labels)
    return (there + F.cross_entropy(second @ firsts.T / temperature, labels)) / 2
