"""The resource estimate of an ingest, stated before it starts: clips, tasks, disk space and memory of a worker."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from pipeline.audio import source
from pipeline.audio.code_spool import MAX_MEMORY_BYTES
from stores import manifest
from stores.chunk_grid import ChunkGrid, Region
from stores.errors import InvalidInput
from stores.manifest import ClipRow, ClipRows
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer

WORKER_BASE_BYTES = 260_000_000
"""Memory of a worker without data: Python with Dask, NumPy, SciPy, Arrow and Zarr (191 MB measured), and decoders."""
PARQUET_BYTES = 200_000_000
"""Memory that Arrow uses to read recordings from a row group, measured with recordings of 1 MB each."""
SHARD_COPIES = 9
"""Copies of a Zarr shard in memory while it is written, measured: parts, joined and padded codes, encoded chunks."""
STORED_BYTES_PER_CODE_BYTE = 0.7
"""Ratio of compression: 0.59 on real music (tests/benchmarks/bench_store.py), more for the manifest and small stores.
"""


@dataclass(frozen=True)
class ResourceEstimate:
    """The disk space and the memory that the planned clips of a store need."""

    clips: int
    """Number of clips to decode."""
    regions: int
    """Number of tasks, each of which writes one region."""
    audio_seconds: float
    """Upper bound of the length of the audio in seconds."""
    store_bytes: int
    """Approximate size of the store on disk, if the bounds are true."""
    worker_bytes: int
    """Largest memory of one worker: its base, the codes of its region that stay in memory, and a Zarr shard."""

    def require_memory(self, available_bytes: int, workers: int) -> None:
        """Check that the work fits into the available memory.

        Raises:
            InvalidInput: `workers` workers need more than `available_bytes`.
        """
        if self.worker_bytes * workers > available_bytes:
            raise InvalidInput(
                f"{workers} workers need up to {self.worker_bytes / 1e6:.0f} MB each, together "
                f"{self.worker_bytes * workers / 1e6:.0f} MB, and {available_bytes / 1e6:.0f} MB are free; "
                f"start fewer with --workers, or reject the longest recordings with --max-seconds"
            )


def estimate_resources(
    rows: Iterable[ClipRow],
    spec: MelSpec,
    quantizer: Quantizer,
    grid: ChunkGrid,
    regions: Sequence[Region] | None = None,
) -> ResourceEstimate:
    """Return the resources that regions of `rows` need (default: all planned ones)."""
    clips = ClipRows.of(rows)
    regions = manifest.planned_regions(clips) if regions is None else regions
    bounds = clips.numbers("bound_frames")[clips_of(regions)]
    frames = int(bounds.sum())
    frame_bytes = spec.n_mels * np.dtype(quantizer.dtype).itemsize
    shard_bytes = SHARD_COPIES * grid.zarr_shard_frames * frame_bytes
    codes_bytes = _largest_task_bytes(clips, regions, bounds * frame_bytes) + shard_bytes if regions else 0
    return ResourceEstimate(
        clips=len(bounds),
        regions=len(regions),
        audio_seconds=spec.seconds_for(frames),
        store_bytes=int(frames * frame_bytes * STORED_BYTES_PER_CODE_BYTE),
        worker_bytes=WORKER_BASE_BYTES + codes_bytes,
    )


def clips_of(regions: Sequence[Region]) -> NDArray[np.int64]:
    """Return the indices `[clips]` of the clips of all regions, one region after another."""
    return np.concatenate([np.zeros(0, np.int64), *(np.array(region.clips, np.int64) for region in regions)])


def _largest_task_bytes(clips: ClipRows, regions: Sequence[Region], bound_bytes: NDArray[np.int64]) -> int:
    """Return the largest memory of the codes of a region, and of Arrow if it is read from Parquet.

    Codes of long clips are in files, and the others are copied once.
    """
    first = np.cumsum([0, *(len(region.clips) for region in regions[:-1])])
    codes = np.minimum(bound_bytes, MAX_MEMORY_BYTES)
    arrow = source.are_parquet(clips.column("source"))[clips_of(regions)] * PARQUET_BYTES
    tasks = np.add.reduceat(codes, first) + np.maximum.reduceat(codes, first) + np.maximum.reduceat(arrow, first)
    return int(tasks.max())


_STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """Return the largest resident memory of this process so far, or its present memory if the system keeps no maximum.

    The value is VmHWM of Linux. `getrusage` is not used, because a new process inherits the maximum of its parent.
    """
    if _STATUS.exists() and (match := re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text())):
        return int(match[1]) * 1024
    return int(psutil.Process().memory_info().rss)
