"""Opening of a mel store with many rows: CPU time and memory of a process, and what the checks of metadata add.

The number of rows may be given as an argument (default: a million). The last line is JSON. The checks are measured
with 100,000 rows, in turn with openings that read the same and check nothing.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import large_manifest

from pipeline.cluster.machine import processor_name
from stores.mel_store import MelStore

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
CHECKED_ROWS, ROUNDS = 100_000, 25


def uses(path: Path) -> dict[str, float]:
    """Return wall-clock seconds of what a store is opened for."""
    store = MelStore.open(path)
    ids = store.rows.column("id").slice(0, len(store) // 2).to_pylist()
    actions: dict[str, Callable[[], object]] = {
        "select": lambda: store.rows.select(state="written", split="test"),
        "index_of_half": lambda: store.rows.index_of(ids),
        "one_row": lambda: store.rows[len(store) // 2],
        "digest": store.digest,
        "shards_digest": store.shards_digest,
        "iterate": lambda: sum(row.frames for row in store.rows),
    }
    return {name: _seconds(action) for name, action in actions.items()}


def checks(path: Path) -> dict[str, float]:
    """Return CPU milliseconds of an opening with and without the checks of metadata, measured in turn."""
    times = [(large_manifest.open_ms(path), large_manifest.open_ms_unchecked(path)) for _ in range(ROUNDS)]
    checked, unchecked = (min(values) for values in zip(*times, strict=True))
    return {
        "rows": CHECKED_ROWS,
        "checked_ms": round(checked, 2),
        "unchecked_ms": round(unchecked, 2),
        "ratio_of_fastest": round(checked / unchecked, 3),
        "ratio_median": round(statistics.median(slow / fast for slow, fast in times), 3),
    }


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return round(time.perf_counter() - start, 3)


with tempfile.TemporaryDirectory(prefix="myna-") as folder:
    large, small = Path(folder) / "large.zarr", Path(folder) / "small.zarr"
    large_manifest.write_store(large, ROWS)
    large_manifest.write_store(small, CHECKED_ROWS)
    opening = large_manifest.measure_opening(large)
    result = {"benchmark": "manifest", "opening": opening, "uses": uses(large), "checks": checks(small)}
    print(json.dumps({**result, "machine": processor_name()}))
