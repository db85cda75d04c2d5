"""What an ingest will need, stated before it starts: clips, tasks, bytes on disk, memory of a worker."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from pipeline.audio import source
from stores import manifest
from stores.errors import InvalidInput
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer

WORKER_BASE_BYTES = 260_000_000
"""A worker without data: Python with Dask, NumPy, SciPy, Arrow and Zarr (191 MB measured), decoders and codecs."""
STARTED_WORKER_BYTES = 191_000_000
"""Of these, what it has before its first task; what a worker has beyond, somebody else made it import."""
PARQUET_BYTES = 200_000_000
"""What Arrow holds while it reads recordings of a megabyte out of a row group, measured with 1 MB each."""
COPIES = 3
"""Of samples at once: blocks, joined, padded."""
STORED_BYTES_PER_CODE_BYTE = 0.7
"""0.59 were measured on real music (tests/benchmarks/bench_store.py); rounded up for the manifest and small stores."""


@dataclass(frozen=True)
class ResourceEstimate:
    """What the planned clips of a store will need."""

    clips: int
    """Clips to decode."""
    regions: int
    """Tasks; each writes one file."""
    audio_seconds: float
    """Upper bound of the audio, seconds."""
    store_bytes: int
    """About what the store will have on disk, if the bounds are true."""
    worker_bytes: int
    """Most memory of one worker: its base, its longest recording as samples and as mel, and its region's codes."""

    def require_memory(self, available_bytes: int, workers: int) -> None:
        """Refuse work that cannot fit.

        Raises:
            InvalidInput: if `workers` workers need more than `available_bytes`.
        """
        if self.worker_bytes * workers > available_bytes:
            raise InvalidInput(
                f"{workers} workers need up to {self.worker_bytes / 1e6:.0f} MB each, together "
                f"{self.worker_bytes * workers / 1e6:.0f} MB, and {available_bytes / 1e6:.0f} MB are free; "
                f"start fewer with --workers, or refuse the longest recordings with --max-seconds"
            )


def estimate_resources(rows: Sequence[ClipRow], spec: MelSpec, quantizer: Quantizer) -> ResourceEstimate:
    """What the planned regions of `rows` will need."""
    regions = manifest.regions(rows)
    bounds = {row.index: row.bound_frames for row in rows if row.state == "planned"}
    frames = sum(bounds.values())
    cell_bytes = np.dtype(quantizer.dtype).itemsize
    tasks = [_task_bytes([rows[clip] for clip in region.clips], spec, cell_bytes) for region in regions]
    return ResourceEstimate(
        clips=len(bounds),
        regions=len(regions),
        audio_seconds=spec.seconds_for(frames),
        store_bytes=int(frames * spec.n_mels * cell_bytes * STORED_BYTES_PER_CODE_BYTE),
        worker_bytes=WORKER_BASE_BYTES + max(tasks, default=0),
    )


def _task_bytes(rows: Sequence[ClipRow], spec: MelSpec, cell_bytes: int) -> int:
    codes = sum(row.bound_frames for row in rows) * spec.n_mels * cell_bytes
    recording = max((_recording_frames(clips, spec) for clips in manifest.recordings(rows)), default=0)
    longest = max((row.bound_frames for row in rows), default=0)
    samples = recording * spec.hop_samples * 4 * COPIES
    arrow = PARQUET_BYTES if any(source.is_parquet(row.source) for row in rows) else 0
    return samples + longest * spec.n_mels * (4 + 4) + COPIES * codes + arrow  # mel in blocks and joined


def _recording_frames(clips: Sequence[ClipRow], spec: MelSpec) -> int:
    """Frames of the start of a recording that is kept in memory: to the end of its last clip."""
    return max(spec.frames_for(int(row.cut_start_seconds * spec.sample_rate_hz)) + row.bound_frames for row in clips)


_STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """Most memory that this process has had resident so far; where the system does not keep it, what it has now.

    Linux' VmHWM, not `getrusage`, whose maximum a new process inherits from the one that started it.
    """
    if _STATUS.exists() and (found := re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text())):
        return int(found[1]) * 1024
    return int(psutil.Process().memory_info().rss)


def available_bytes() -> int:
    """Memory that can be used without swapping."""
    return int(psutil.virtual_memory().available)
