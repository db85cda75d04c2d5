"""Mel stores with a manifest of many rows and without frames, and measurements of their opening."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
from small_stores import store_settings

from stores import mel_array, mel_store
from stores.chunk_grid import ChunkGrid
from stores.manifest import SCHEMA, ClipRows
from stores.mel_store import MelStore

OPENING = """
import re, sys, time
from pathlib import Path
from stores.mel_store import MelStore
start = time.process_time()
store = MelStore.open(sys.argv[1])
seconds = time.process_time() - start
peak_kib = int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
print(len(store), seconds, time.process_time(), peak_kib / 1024)
"""

FRAMES, CLIPS_PER_REGION = 313, 100


def rows(count):
    """Return the rows of `count` written clips of 10 s with names, labels and digests like those of AudioSet."""
    number = np.arange(count)
    digests = [hashlib.blake2b(n.to_bytes(8), digest_size=16).hexdigest() for n in range(count)]
    names = [f"-0{digest[:9]}_30.000" for digest in digests]
    region_start = number // CLIPS_PER_REGION * ChunkGrid().zarr_shard_frames
    columns = {
        "index": number,
        "id": names,
        "source": [f"unbalanced/part{n % 40:02}/{name}.flac" for n, name in enumerate(names)],
        "group": [name[:11] for name in names],
        "split": ["test" if n % 10 == 0 else "train" for n in range(count)],
        "labels": [[("tags", f"Music|Guitar|Plucked string instrument|{digest[:4]}")] for digest in digests],
        "region_start": region_start,
        "region_stop": region_start + ChunkGrid().zarr_shard_frames,
        "state": ["written"] * count,
        "source_digest": digests,
        "source_rate_hz": np.full(count, 44_100),
        "decoder": ["libsndfile 1.2.2"] * count,
        "start_frame": region_start + number % CLIPS_PER_REGION * FRAMES,
        "frames": np.full(count, FRAMES),
        "bound_frames": np.full(count, FRAMES + 8),
        "codes_digest": digests[::-1],
        "source_bytes": number * 7_919 % 400_000,
        "source_mtime_ns": number * 1_000_003,
        "expected_seconds": np.full(count, 10.0),
        "semitones": np.zeros(count, np.int64),
        "decoded_seconds": np.full(count, 10.0),
        "cut_start_seconds": np.zeros(count),
        "cut_seconds": np.zeros(count),
        "silent": np.zeros(count, bool),
    }
    empty = pa.repeat("", count)
    return ClipRows.from_table(pa.table([columns.get(name, empty) for name in SCHEMA.names], schema=SCHEMA))


def write_store(path, count):
    """Write a store with `count` rows and return it."""
    return MelStore.create(path, rows(count), store_settings(), ChunkGrid())


def measure_opening(path):
    """Return CPU seconds and the largest memory of a new process that opens the store, with its imports."""
    command = [sys.executable, "-c", OPENING, str(path)]
    root = Path(__file__).parents[2]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout
    rows, seconds, with_imports, peak = printed.split()
    return {
        "rows": int(rows),
        "open_cpu_seconds": round(float(seconds), 3),
        "with_imports_cpu_seconds": round(float(with_imports), 3),
        "peak_mib": round(float(peak)),
    }


def open_ms(path):
    """Return the CPU milliseconds of an opening with all checks."""
    start = time.process_time()
    MelStore.open(path)
    return 1e3 * (time.process_time() - start)


def open_ms_unchecked(path):
    """Return the CPU milliseconds of an opening that reads the same columns and checks no metadata and no number."""
    names = ("index", "region_start", "region_stop", "start_frame", "frames", "bound_frames")

    def read_only(rows, _grid):
        for name in names:
            rows.numbers(name)
        return ""

    with (
        mock.patch.object(mel_store, "find_problem", read_only),
        mock.patch.object(mel_array, "find_metadata_damage", return_value=""),
    ):
        return open_ms(path)
