"""The work of one task: decode, mel, quantise, write one region. Runs in a worker; returns counts, never arrays."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.audio import source
from pipeline.audio.cut import cut
from pipeline.audio.decode import Audio, decode, file_digest
from pipeline.audio.mel import mel_power
from pipeline.memory import peak_bytes
from pipeline.planning import Limits
from stores import manifest
from stores.chunk_grid import Region
from stores.errors import AudioRefused
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Codes

SILENT_PEAK = 2.0**-14
"""Two steps of 16 bits: what dither and rounding leave of nothing."""


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
    peak_bytes: int
    """Most memory that the worker's process has had so far."""


def run(task: RegionTask) -> Outcome:
    """Write one region and record it as finished; a second run writes the same bytes."""
    start = time.perf_counter()
    store = MelStore.writer(task.store)
    rows, packed = _pack(task, store)
    if packed:
        store.write_region(task.region, np.concatenate(packed, axis=1))
    store.finish_region(task.region, rows)
    refused = sum(row.state == "refused" for row in rows)
    frames = sum(codes.shape[1] for codes in packed)
    return Outcome(len(rows), refused, frames, time.perf_counter() - start, peak_bytes())


def _pack(task: RegionTask, store: MelStore) -> tuple[Sequence[ClipRow], list[Codes]]:
    rows: list[ClipRow] = []
    packed: list[Codes] = []
    frame = task.region.start_frame
    for clips in manifest.recordings(task.rows):
        for row, codes in _recording(task, clips, store):
            if codes is not None:
                row = replace(row, state="written", start_frame=frame)
                packed.append(codes)
                frame += codes.shape[1]
            rows.append(row)
    return rows, packed


def _recording(task: RegionTask, clips: Sequence[ClipRow], store: MelStore) -> Iterator[tuple[ClipRow, Codes | None]]:
    """What became of the clips of one recording, which is decoded once."""
    try:
        with source.opened(task.root / clips[0].source, clips[0].member) as path:
            digest = file_digest(path)
            audio = _decoded(task, clips, path, store.spec)
    except AudioRefused as refusal:
        yield from ((_refused(row, refusal), None) for row in clips)
        return
    for row in clips:
        facts = replace(row, source_digest=digest, source_rate_hz=audio.source_rate_hz, decoder=audio.decoder)
        yield _clip(task, replace(facts, detail=audio.complaints), audio, store)


def _decoded(task: RegionTask, clips: Sequence[ClipRow], path: Path, spec: MelSpec) -> Audio:
    keep_seconds = max(row.cut_start_seconds + spec.seconds_for(row.bound_frames) for row in clips)
    return decode(path, spec.sample_rate_hz, task.limits.max_seconds, task.limits.decode_seconds, keep_seconds)


def _clip(task: RegionTask, row: ClipRow, audio: Audio, store: MelStore) -> tuple[ClipRow, Codes | None]:
    frames = _needed_frames(row, audio, store.spec)
    if frames > row.bound_frames:
        return replace(row, frames=frames), None  # it stays planned, with its true length: the next round has room
    samples = cut(audio.samples, store.spec.sample_rate_hz, row.cut_start_seconds, row.cut_seconds)
    silent = bool(len(samples)) and float(np.abs(samples).max()) <= SILENT_PEAK
    try:
        if silent and not task.keeps_silence:
            raise AudioRefused("silent", f"the largest sample is {np.abs(samples).max():.1e} of full scale")
        codes = store.quantizer.encode(mel_power(samples, store.spec))
    except AudioRefused as refusal:
        return _refused(row, refusal), None
    return replace(row, frames=codes.shape[1], silent=silent), codes


def _needed_frames(row: ClipRow, audio: Audio, spec: MelSpec) -> int:
    """Frames of a clip without an end; one with an end never needs more than it was planned with."""
    if row.cut_seconds:
        return 0
    return spec.frames_for(max(0, audio.total_samples - round(row.cut_start_seconds * spec.sample_rate_hz)))


def _refused(row: ClipRow, refusal: AudioRefused) -> ClipRow:
    return replace(row, state="refused", reason=refusal.reason, detail=refusal.detail)
