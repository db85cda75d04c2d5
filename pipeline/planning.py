"""Tracks + MelSpec -> manifest rows with regions, and what the work will need; integers only, apart from headers.

A region is planned from an upper bound of each clip's frames. The bound comes from the file's header, which may lie: a
clip that turns out longer than its region has room for is planned again with its true length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.audio.inspect import claimed_seconds
from pipeline.datasets.track import Track
from stores import manifest
from stores.chunk_grid import ChunkGrid, plan_regions
from stores.errors import InvalidInput
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec

# A header that rounds, or an encoder's padding, may be short by this much without a second round.
SLACK_SECONDS = 0.25


@dataclass(frozen=True)
class Limits:
    """What one track may cost."""

    max_seconds: float = 3_600.0
    """Longest audio that is accepted, seconds."""
    decode_seconds: float = 300.0
    """Longest that decoding may take, wall clock."""

    def __post_init__(self) -> None:
        if not (0 < self.max_seconds < math.inf and 0 < self.decode_seconds < math.inf):
            raise InvalidInput(f"{self}: both limits must be positive and finite")


@dataclass(frozen=True)
class Need:
    """What an ingest will need, stated before it starts."""

    clips: int
    """Clips to decode."""
    regions: int
    """Tasks."""
    audio_seconds: float
    """Upper bound of the audio, seconds."""
    store_bytes: int
    """Upper bound of the store on disk: one byte per mel cell, before compression."""
    worker_bytes: int
    """Peak of one worker: its longest clip as samples, and as mel, and its region's codes."""


def plan_rows(tracks: Sequence[Track], root: Path, first_index: int = 0) -> list[ClipRow]:
    """One planned row per track, not yet with a region.

    Raises:
        InvalidInput: no tracks, two with one id, or a path that is not UTF-8.
    """
    if not tracks:
        raise InvalidInput(f"no audio found under {root}; give the folder that holds it with --root")
    seen: dict[str, Path] = {}
    for track in tracks:
        if track.id in seen:
            raise InvalidInput(f"two tracks have the id {track.id!r}: {seen[track.id]} and {track.path}")
        seen[track.id] = track.path
    return [
        ClipRow(
            index=first_index + position,
            id=track.id,
            source=source_of(track, root),
            group=track.group,
            split=track.split,
            labels=track.labels,
        )
        for position, track in enumerate(tracks)
    ]


def source_of(track: Track, root: Path) -> str:
    """Where the audio of `track` lies below `root`, with `/`.

    Raises:
        InvalidInput: if it is not UTF-8, which is all that a manifest can hold.
    """
    source = track.path.relative_to(root).as_posix()
    try:
        source.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"the file name {source!r} is not UTF-8; rename the file") from error
    return source


def bound_frames(path: Path, spec: MelSpec, limits: Limits) -> int:
    """Upper bound of the frames of the recording at `path`, as far as its header can be believed."""
    seconds = claimed_seconds(path)
    believed = limits.max_seconds if seconds is None else min(seconds + SLACK_SECONDS, limits.max_seconds)
    return spec.frames_for(int(believed * spec.sample_rate_hz))


def with_regions(rows: Sequence[ClipRow], bounds: Sequence[int], grid: ChunkGrid) -> list[ClipRow]:
    """`rows` with new regions, after all that are there, for those with a positive bound.

    Args:
        rows: the whole manifest.
        bounds: upper bound of frames for each row; 0 for rows that keep what they have.
        grid: the cut of the frame axis.
    """
    wanted = [(row.index, bound) for row, bound in zip(rows, bounds, strict=True) if bound]
    return manifest.assign_regions(rows, plan_regions(wanted, grid, manifest.total_frames(rows)))


def replan(rows: Sequence[ClipRow], grid: ChunkGrid) -> list[ClipRow]:
    """New regions for clips that did not fit: they are planned, and `frames` holds what they really need."""
    replanned = with_regions(rows, [row.frames if row.state == "planned" else 0 for row in rows], grid)
    return [replace(row, frames=0) if row.state == "planned" else row for row in replanned]


def need(rows: Sequence[ClipRow], spec: MelSpec) -> Need:
    """What the planned regions of `rows` will need."""
    regions = manifest.regions(rows)
    frames = sum(region.frames for region in regions)
    longest = max((region.frames for region in regions), default=0)
    sample_bytes = 4 * spec.hop_samples  # float32 mono; three copies: blocks, joined, padded
    return Need(
        clips=sum(len(region.clips) for region in regions),
        regions=len(regions),
        audio_seconds=spec.seconds_for(frames),
        store_bytes=frames * spec.n_mels,
        worker_bytes=longest * (3 * sample_bytes + (4 + 2) * spec.n_mels),
    )
