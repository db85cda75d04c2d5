"""The work of one task: read recordings, write one region. Runs in a worker; returns counts, never arrays."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.ingestion import recording, subprocess_decode
from pipeline.ingestion.plan import Limits
from pipeline.ingestion.recording import DecodeSettings
from pipeline.ingestion.resources import peak_bytes
from pipeline.ingestion.subprocess_decode import GRACE_SECONDS
from pipeline.ingestion.watchdog import limited
from stores import manifest
from stores.chunk_grid import Region
from stores.manifest import ClipRow
from stores.mel_store import MelStore
from stores.quantize import Codes


@dataclass(frozen=True)
class RegionTask:
    """All that a worker needs to know: small enough to send a thousand of them."""

    store: Path
    """The mel store."""
    root: Path
    """What the rows' sources are relative to."""
    region: Region
    """Where its frames go."""
    rows: tuple[ClipRow, ...]
    """The region's clips."""
    limits: Limits
    """What one track may cost."""
    keeps_silence: bool = False
    """Store silent clips; otherwise they are refused."""
    isolated: bool = False
    """Each recording is read in a process of its own, after this region has ended a worker."""


@dataclass(frozen=True)
class RegionResult:
    """What became of one region."""

    clips: int
    """Clips looked at."""
    refused: int
    """Of those, refused."""
    frames: int
    """Frames written."""
    seconds: float
    """Wall clock."""
    peak_bytes: int
    """Most memory that the worker's process has had so far."""


def run(task: RegionTask) -> RegionResult:
    """Write one region and record it as finished; a second run writes the same bytes."""
    start = time.perf_counter()
    store = MelStore.writer(task.store)
    rows, packed = _pack(task, store)
    if packed:
        store.write_region(task.region, np.concatenate(packed, axis=1))
    store.finish_region(task.region, rows)
    refused = sum(row.state == "refused" for row in rows)
    frames = sum(codes.shape[1] for codes in packed)
    return RegionResult(len(rows), refused, frames, time.perf_counter() - start, peak_bytes())


def run_isolated(task: RegionTask) -> RegionResult:
    """The same, slower, after the region has ended a worker: its recordings can harm nothing but themselves."""
    return run(replace(task, isolated=True))


def _pack(task: RegionTask, store: MelStore) -> tuple[Sequence[ClipRow], list[Codes]]:
    reading = DecodeSettings(task.root, store.spec, store.quantizer, task.limits, task.keeps_silence)
    rows: list[ClipRow] = []
    packed: list[Codes] = []
    frame = task.region.start_frame
    for clips in manifest.recordings(task.rows):
        for row, codes in read(reading, clips, task.isolated):
            if codes is not None:
                row = replace(row, start_frame=frame)
                packed.append(codes)
                frame += codes.shape[1]
            rows.append(row)
    return rows, packed


def read(reading: DecodeSettings, clips: Sequence[ClipRow], isolated: bool) -> list[tuple[ClipRow, Codes | None]]:
    """What became of the clips of one recording, in this process under the watchdog's eyes, or in one of its own."""
    if isolated:
        return subprocess_decode.read(reading, clips)
    with limited(reading.limits.decode_seconds + GRACE_SECONDS):
        return recording.read(reading, clips)
