"""Times two callables in turn, A B A B, and prints the ratio pair by pair: absolute times drift, ratios less so."""

import json
import platform
import statistics
import time
from collections.abc import Callable


def compare(name: str, ours: Callable[[], object], baseline: Callable[[], object], rounds: int = 7) -> None:
    """Print median milliseconds of both and their ratio; the last line is JSON."""
    ours(), baseline()  # warm up: caches, filter banks, thread pools
    times = [(_seconds(ours), _seconds(baseline)) for _ in range(rounds)]
    ratios = sorted(slow / fast for fast, slow in times)
    row = {
        "benchmark": name,
        "ours_ms": round(1e3 * statistics.median(fast for fast, _ in times), 3),
        "baseline_ms": round(1e3 * statistics.median(slow for _, slow in times), 3),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        "machine": f"{platform.machine()} {platform.processor() or platform.system()}",
    }
    print(f"{name}: {row['ours_ms']} ms against {row['baseline_ms']} ms, {row['ratio']} times as fast")
    print(json.dumps(row))


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
