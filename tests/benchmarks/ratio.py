"""A comparison of two callables that are timed in turn.

The ratio is computed for each pair of neighboring calls, because absolute times drift more than ratios.
"""

import json
import statistics
import time
from collections.abc import Callable

from pipeline.cluster.machine import processor_name


def compare(name: str, ours: Callable[[], object], baseline: Callable[[], object], rounds: int = 7) -> None:
    """Time both callables in turn, and print their median milliseconds and their ratio; the last line is JSON."""
    ours(), baseline()  # warm up: caches, filter banks, thread pools
    times = [(_seconds(ours), _seconds(baseline)) for _ in range(rounds)]
    ratios = sorted(slow / fast for fast, slow in times)
    row = {
        "benchmark": name,
        "ours_ms": round(1e3 * statistics.median(fast for fast, _ in times), 3),
        "baseline_ms": round(1e3 * statistics.median(slow for _, slow in times), 3),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        "machine": processor_name(),
    }
    print(f"{name}: {row['ours_ms']} ms against {row['baseline_ms']} ms, {row['ratio']} times as fast")
    print(json.dumps(row))


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
