"""A plan for two million clips of 10 s on 32 workers: its tasks, bytes through the scheduler, files and hours."""

import json
import pickle
import time
from pathlib import Path

from pipeline.cluster.tasks import TASKS_PER_THREAD
from pipeline.ingestion.config import Limits
from pipeline.ingestion.plan import assign_new_regions
from pipeline.ingestion.region_task import RegionTask
from pipeline.ingestion.resources import estimate_resources
from stores import manifest
from stores.chunk_grid import ChunkGrid
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer

CLIPS, WORKERS = 2_000_000, 32
MS_PER_CLIP_AND_CORE = 15.0
"""Measured by bench_ingest.py, rounded up."""
SPEC, GRID = MelSpec(), ChunkGrid()

start = time.perf_counter()
names = (f"unbal_train/{number % 2048:04d}/Y{number:011d}.flac" for number in range(CLIPS))
rows = [ClipRow(i, name[-16:-5], name, name[-16:-5], "train", {"tags": "Music|Jazz"}) for i, name in enumerate(names)]
planned = assign_new_regions(rows, [SPEC.frames_for(164_000)] * CLIPS, GRID)
regions = manifest.planned_regions(planned)
seconds = time.perf_counter() - start
first = regions[0]
task = RegionTask(Path("/stores/a.zarr"), Path("/data"), first, tuple(planned[i] for i in first.clips), Limits())
task_bytes = len(pickle.dumps(task))
estimate = estimate_resources(planned, SPEC, Quantizer(), GRID)
row = {
    "benchmark": f"plan of {CLIPS} clips on {WORKERS} workers",
    "tasks": len(regions),
    "clips_per_task": len(first.clips),
    "bytes_per_task": task_bytes,
    "bytes_in_flight": task_bytes * WORKERS * TASKS_PER_THREAD,
    "bytes_through_the_scheduler": task_bytes * len(regions),
    "zarr_shard_files": manifest.total_frames(planned) // GRID.zarr_shard_frames,
    "store_gb": round(estimate.store_bytes / 1e9, 1),
    "worker_mb": round(estimate.worker_bytes / 1e6),
    "hours": round(CLIPS * MS_PER_CLIP_AND_CORE / 1e3 / 3600 / WORKERS, 2),
    "planning_seconds": round(seconds, 1),
}
print(json.dumps(row))
