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
