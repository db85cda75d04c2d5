"""Tracks + MelSpec -> manifest rows with regions, and what the work will need; integers only, apart from headers.

A region is planned from an upper bound of each clip's frames. The bound comes from the data set or from the file's
header, which may lie: a clip that turns out longer than its bound is planned again with its true length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.audio import source
from pipeline.audio.inspect import claimed_seconds
from pipeline.datasets.track import Track
from stores import manifest
from stores.chunk_grid import ChunkGrid, plan_regions
from stores.errors import AudioRefused, InvalidInput
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
    return [_row(track, first_index + position, root) for position, track in enumerate(tracks)]


def _row(track: Track, index: int, root: Path) -> ClipRow:
    return ClipRow(
        index=index,
        id=track.id,
        source=source_of(track, root),
        group=track.group,
        split=track.split,
        labels=track.labels,
        member=track.member,
        cut_start_seconds=track.cut_start_seconds,
        cut_seconds=track.cut_seconds,
    )


def source_of(track: Track, root: Path) -> str:
    """The file that holds `track`, below `root`, with `/`.

    Raises:
        InvalidInput: if it is not UTF-8, which is all that a manifest can hold.
    """
    found = track.path.relative_to(root).as_posix()
    try:
        found.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"the file name {found!r} is not UTF-8; rename the file") from error
    return found


def known_bound_frames(track: Track, spec: MelSpec) -> int:
    """Upper bound of the frames of `track` as its dataset states it; 0 if only the header can tell."""
    if track.cut_seconds:
        return _frames(track.cut_seconds, spec)
    if track.bound_seconds:
        return _frames(max(0.0, track.bound_seconds - track.cut_start_seconds), spec)
    return 0


def bound_frames(track: Track, spec: MelSpec, limits: Limits) -> int:
    """Upper bound of the frames of `track`, as far as the header of its recording can be believed."""
    try:
        with source.opened(track.path, track.member) as path:
            seconds = claimed_seconds(path)
    except AudioRefused:  # it will be refused, with its reason, when its turn comes
        seconds = 0.0
    believed = limits.max_seconds if seconds is None else min(seconds + SLACK_SECONDS, limits.max_seconds)
    return _frames(max(0.0, believed - track.cut_start_seconds), spec)


def _frames(seconds: float, spec: MelSpec) -> int:
    return spec.frames_for(math.ceil(seconds * spec.sample_rate_hz))


def with_regions(rows: Sequence[ClipRow], bounds: Sequence[int], grid: ChunkGrid) -> list[ClipRow]:
    """`rows` with new regions, after all that are there, for those with a positive bound.

    Clips of one recording share a region, so that it is decoded once.

    Args:
        rows: the whole manifest.
        bounds: upper bound of frames for each row; 0 for rows that keep what they have.
        grid: the cut of the frame axis.
    """
    wanted = [replace(row, bound_frames=bound) for row, bound in zip(rows, bounds, strict=True) if bound]
    parcels = [
        (tuple(row.index for row in clips), sum(row.bound_frames for row in clips))
        for clips in manifest.recordings(wanted)
    ]
    bounded = list(rows)
    for row in wanted:
        bounded[row.index] = row
    return manifest.assign_regions(bounded, plan_regions(parcels, grid, manifest.total_frames(rows)))


def replan(rows: Sequence[ClipRow], grid: ChunkGrid) -> list[ClipRow]:
    """New regions for clips that did not fit: they are planned, and `frames` holds what they really need."""
    replanned = with_regions(rows, [row.frames if row.state == "planned" else 0 for row in rows], grid)
    return [replace(row, frames=0) if row.state == "planned" else row for row in replanned]
