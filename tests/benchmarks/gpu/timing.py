"""Timing of calls in turn, by CUDA events on a GPU and by wall-clock time elsewhere."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

WARM_UP = 3


def median_ms(
    calls: Mapping[str, Callable[[], object]], device: torch.device, rounds: int = 7, inner: int = 10
) -> dict[str, float]:
    """Return the median milliseconds of each call.

    The calls take turns, because clock rates drift. Each turn is the mean of `inner` calls in a row.
    """
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    times_ms: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times_ms[name].append(_turn_ms(call, device, inner))
    return {name: statistics.median(times) for name, times in times_ms.items()}


def _turn_ms(call: Callable[[], object], device: torch.device, inner: int) -> float:
    if device.type != "cuda":
        start = time.perf_counter()
        for _ in range(inner):
            call()
        return 1e3 * (time.perf_counter() - start) / inner
    start_event, end_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start_event.record()
    for _ in range(inner):
        call()
    end_event.record()
    torch.cuda.synchronize()
    return start_event.elapsed_time(end_event) / inner


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
