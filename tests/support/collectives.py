"""Ranks as processes on one machine, and a counter of the bytes that they send through PyTorch's collectives."""

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
    """Return the results of `work(folder, *arguments)` on `ranks` processes joined by gloo, in order of rank."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "model.training.loop", __name__])
    queue = context.Queue()
    init_method = f"file://{folder}/meeting-{ranks}-{work.__name__}"
    processes = [
        context.Process(target=_run_rank, args=(queue, init_method, rank, ranks, work, folder, arguments))
        for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    results = dict(queue.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    failed = [value for value in results.values() if isinstance(value, str)]
    assert not failed, failed[0]
    return [results[rank] for rank in range(ranks)]


def _run_rank(queue, init_method, rank, ranks, work, folder, arguments):
    torch.set_num_threads(1)
    try:
        dist.init_process_group("gloo", init_method=init_method, rank=rank, world_size=ranks)
        result = work(folder, *arguments)
        dist.destroy_process_group()
    except Exception:  # noqa: BLE001 -- the waiting test must receive every error
        result = traceback.format_exc()
    queue.put((rank, result))


def _count_bytes(tensors):
    leaves = torch.utils._pytree.tree_leaves(tensors)
    return sum(leaf.numel() * leaf.element_size() for leaf in leaves if isinstance(leaf, torch.Tensor))


class SentBytes(TorchDispatchMode):
    """Context manager that counts the bytes that this rank sends on a ring.

    It counts the collectives that reach PyTorch's dispatcher. `total` is the number of bytes, and `calls` lists the
    names of the collectives.
    """

    def __init__(self):
        super().__init__()
        self.total, self.calls = 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        namespace, name = func.name().split("::")
        if namespace == "c10d":
            self.calls.append(name)
            self.total += self._bytes_sent(name, args)
        return func(*args, **(kwargs or {}))

    @staticmethod
    def _bytes_sent(name, args):
        ranks = dist.get_world_size()
        if name == "allgather_":
            return _count_bytes(args[1]) * (ranks - 1)
        if name == "scatter_":  # only the source rank sends anything
            return _count_bytes(args[1]) * (ranks - 1) // ranks
        if name.startswith("allreduce_"):
            return math.ceil(2 * _count_bytes(args[0]) * (ranks - 1) / ranks)
        raise AssertionError(f"no formula for the bytes of {name}")


def openclip_loss(first, second, temperature):
    """OpenCLIP's loss with `local_loss` and `gather_with_grad`: features are gathered, and gradients are sent back."""
    first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # deprecated, but OpenCLIP calls it
        firsts, seconds = (torch.cat(dist_nn.all_gather(side)) for side in (first, second))
    labels = torch.arange(len(first)) + dist.get_rank() * len(first)
    first_to_second = F.cross_entropy(first @ seconds.T / temperature, labels)
    return (first_to_second + F.cross_entropy(second @ firsts.T / temperature, labels)) / 2
