"""The work of one task: decode, mel, quantise, write one region. Runs in a worker; returns counts, never arrays."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.decode import decode, file_digest
from pipeline.audio.mel import mel_power
from pipeline.planning import Limits
from stores.chunk_grid import Region
from stores.errors import AudioRefused
from stores.manifest import ClipRow
from stores.mel_store import MelStore


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


@dataclass(frozen=True)
class Outcome:
    """What became of one region."""

    clips: int
    """Clips looked at."""
    refused: int
    """Of those, refused."""
    frames: int
    """Frames written."""
    seconds: float
    """Wall clock."""


def run(task: RegionTask) -> Outcome:
    """Write one region and record it as finished; a second run writes the same bytes."""
    start = time.perf_counter()
    store = MelStore.open(task.store, complete=False)
    rows, packed = _pack(task, store)
    if packed:
        store.write_region(task.region, np.concatenate(packed, axis=1))
    store.finish_region(task.region, rows)
    refused = sum(row.state == "refused" for row in rows)
    return Outcome(len(rows), refused, sum(c.shape[1] for c in packed), time.perf_counter() - start)


def _pack(task: RegionTask, store: MelStore) -> tuple[Sequence[ClipRow], list[NDArray[np.uint8]]]:
    rows: list[ClipRow] = []
    packed: list[NDArray[np.uint8]] = []
    frame = task.region.start_frame
    for planned in task.rows:
        row, codes = _make(task, planned, store)
        if codes is not None and frame + codes.shape[1] <= task.region.stop_frame:
            row = replace(row, state="written", start_frame=frame)
            packed.append(codes)
            frame += codes.shape[1]
        rows.append(row)  # without room it stays planned, with its true length: the next round has room
    return rows, packed


def _make(task: RegionTask, row: ClipRow, store: MelStore) -> tuple[ClipRow, NDArray[np.uint8] | None]:
    path = task.root / row.source
    try:
        digest = file_digest(path)
        audio = decode(path, store.spec.sample_rate_hz, task.limits.max_seconds, task.limits.decode_seconds)
        codes = store.quantizer.encode(mel_power(audio.samples, store.spec))
    except AudioRefused as refusal:
        return replace(row, state="refused", reason=refusal.reason, detail=refusal.detail), None
    made = replace(
        row,
        frames=codes.shape[1],
        source_digest=digest,
        source_rate_hz=audio.source_rate_hz,
        decoder=audio.decoder,
        detail=audio.complaints,
    )
    return made, codes
