"""CUDA graphs of timed calls, and peak memory."""

from __future__ import annotations

from collections.abc import Callable

import torch

from model.encoder.kernels.turn_timing import WARM_UP


def capture(call: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """Return a replay of the call as a CUDA graph, without launch times, or the call itself if there is no GPU."""
    if device.type != "cuda":
        return call
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = call()

    def replay() -> object:
        graph.replay()
        return outputs  # the graph writes to these tensors, so they must stay alive

    return replay


def peak_gb(call: Callable[[], object], device: torch.device) -> float:
    """Return the peak of the GPU memory that the call allocates in gigabytes, or NaN without a GPU."""
    if device.type != "cuda":
        return float("nan")
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e9
