"""Opening of a mel store with many rows: CPU time and memory of a process, and what the checks of metadata add.

The last line is JSON. Each opening is measured in a process of its own, which imports what an opening needs.
"""

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
import large_manifest

from stores import mel_array, mel_store
from stores.mel_store import MelStore

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
CHECKED_ROWS, ROUNDS = 100_000, 15
OPENING = """
import re, sys, time
from pathlib import Path
start = time.process_time()
from stores.mel_store import MelStore
imported = time.process_time()
store = MelStore.open(sys.argv[1])
opened = time.process_time()
peak_kb = int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
print(len(store), opened - imported, opened - start, peak_kb / 1024)
"""


def opening(path: Path) -> dict[str, float]:
    """Return CPU seconds and the largest memory of a process that opens the store."""
    command = [sys.executable, "-c", OPENING, str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    rows, seconds, with_imports, peak = printed.split()
    return {
        "rows": int(rows),
        "open_cpu_seconds": round(float(seconds), 3),
        "with_imports_cpu_seconds": round(float(with_imports), 3),
        "peak_mib": round(float(peak)),
    }


def uses(path: Path) -> dict[str, float]:
    """Return wall-clock seconds of what a store is opened for."""
    store = MelStore.open(path)
    ids = store.rows.column("id").slice(0, len(store) // 2).to_pylist()
    actions: dict[str, Callable[[], object]] = {
        "select": lambda: store.rows.select(state="written", split="test"),
        "index_of": lambda: store.rows.index_of(ids),
        "digest": store.digest,
        "shards_digest": store.shards_digest,
        "iterate": lambda: sum(row.frames for row in store.rows),
    }
    return {name: _seconds(action) for name, action in actions.items()}


def checks(path: Path) -> dict[str, float]:
    """Return CPU milliseconds of an opening with and without the checks of metadata, measured in turn."""
    times = [(_open_ms(path), _open_ms_unchecked(path)) for _ in range(ROUNDS)]
    ratio = statistics.median(checked / unchecked for checked, unchecked in times)
    return {
        "rows": CHECKED_ROWS,
        "checked_ms": round(statistics.median(checked for checked, _ in times), 2),
        "unchecked_ms": round(statistics.median(unchecked for _, unchecked in times), 2),
        "ratio": round(ratio, 3),
    }


def _open_ms(path: Path) -> float:
    start = time.process_time()
    MelStore.open(path)
    return 1e3 * (time.process_time() - start)


def _open_ms_unchecked(path: Path) -> float:
    kept = mel_store.find_problem, mel_array.find_metadata_damage

    def read_only(rows: object, _grid: object) -> str:
        """Read the columns, which a reader needs anyway, without checking them."""
        for name in ("index", "region_start", "region_stop", "start_frame", "frames", "bound_frames"):
            rows.numbers(name)  # type: ignore[attr-defined]
        return ""

    mel_store.find_problem, mel_array.find_metadata_damage = read_only, lambda *_: ""
    try:
        return _open_ms(path)
    finally:
        mel_store.find_problem, mel_array.find_metadata_damage = kept


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return round(time.perf_counter() - start, 3)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="myna-") as folder:
        large, small = Path(folder) / "large.zarr", Path(folder) / "small.zarr"
        large_manifest.write_store(large, ROWS)
        large_manifest.write_store(small, CHECKED_ROWS)
        result = {"benchmark": "manifest", "opening": opening(large), "uses": uses(large), "checks": checks(small)}
        print(json.dumps({**result, "machine": f"{platform.machine()} {platform.processor() or platform.system()}"}))
