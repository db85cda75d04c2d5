"""The task of a worker: decode the recordings of one region and write it. It returns counts and no arrays."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.audio.code_spool import JoinedCodes
from pipeline.audio.remote import AudioPath
from pipeline.ingestion import recording, subprocess_decode
from pipeline.ingestion.config import Limits
from pipeline.ingestion.recording import DecodeSettings, StoredCodes
from pipeline.ingestion.resources import peak_bytes
from pipeline.ingestion.subprocess_decode import GRACE_SECONDS
from pipeline.ingestion.watchdog import time_limit
from stores import manifest
from stores.chunk_grid import Region
from stores.manifest import ClipRow
from stores.mel_flags import resampler_name
from stores.mel_store import MelStore


@dataclass(frozen=True)
class RegionTask:
    """Everything that a worker needs for one region, small enough to send by the thousand."""

    store: Path
    """Folder of the mel store."""
    root: AudioPath
    """Folder that the sources of the rows are relative to."""
    region: Region
    """Region of the frame axis to write."""
    rows: tuple[ClipRow, ...]
    """Rows of the clips of the region."""
    limits: Limits
    """Limits of the length and the decoding time of a recording."""
    keeps_silence: bool = False
    """Store silent clips. If false, they are rejected."""
    cut_slack_seconds: float = 0.0
    """Seconds by which a recording may be longer than its clip and still be the clip, already cut. 0: never."""
    in_subprocesses: bool = False
    """Decode each recording in its own process, after a worker has died with this region."""


@dataclass(frozen=True)
class RegionResult:
    """Counts of one finished region."""

    clips: int
    """Number of clips that were decoded or rejected."""
    rejected: int
    """Number of rejected clips among them."""
    frames: int
    """Number of frames that were written."""
    seconds: float
    """Wall-clock time in seconds."""
    peak_bytes: int
    """Largest memory that the process of the worker has used so far."""
    region_start: int = 0
    """First frame of the region, which tells it from all others."""


def run(task: RegionTask) -> RegionResult:
    """Write one region and record it as finished. A second run writes the same bytes."""
    start = time.perf_counter()
    store = MelStore.open_without_manifest(task.store)
    rows, packed = _pack(task, store)
    if packed:
        store.write_region(task.region, JoinedCodes(packed))
    store.finish_region(task.region, rows)
    rejected = sum(row.state == "refused" for row in rows)
    frames = sum(codes.shape[1] for codes in packed)
    return RegionResult(len(rows), rejected, frames, time.perf_counter() - start, peak_bytes(), task.region.start_frame)


def run_in_subprocesses(task: RegionTask) -> RegionResult:
    """Write one region with which a worker has died: slower, but a crash affects only the recording that causes it."""
    return run(replace(task, in_subprocesses=True))


def _pack(task: RegionTask, store: MelStore) -> tuple[Sequence[ClipRow], list[StoredCodes]]:
    resampler = resampler_name(store.attributes["preprocessing"])
    settings = DecodeSettings(
        task.root, store.spec, store.quantizer, task.limits, task.keeps_silence, resampler, task.cut_slack_seconds
    )
    rows: list[ClipRow] = []
    packed: list[StoredCodes] = []
    frame = task.region.start_frame
    for clips in manifest.group_by_recording(task.rows):
        for row, codes in read(settings, clips, task.in_subprocesses):
            if codes is not None:
                row = replace(row, start_frame=frame)
                packed.append(codes)
                frame += codes.shape[1]
            rows.append(row)
    return rows, packed


def read(
    settings: DecodeSettings, clips: Sequence[ClipRow], in_subprocess: bool
) -> Sequence[tuple[ClipRow, StoredCodes | None]]:
    """Return the rows and codes of the clips of one recording, decoded in its own process or under the watchdog."""
    if in_subprocess:
        return subprocess_decode.read(settings, clips)
    with time_limit(recording.limit_seconds(settings.limits, clips) + GRACE_SECONDS):
        return recording.read(settings, clips)
