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
from stores.errors import DecodeError, InvalidInput
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

    One whose names are not UTF-8 is refused at once.

    Raises:
        InvalidInput: no tracks, or two with one id.
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
    row = ClipRow(
        index=index,
        id=track.id,
        source=track.path.relative_to(root).as_posix(),
        group=track.group,
        split=track.split,
        labels=track.labels,
        member=track.member,
        cut_start_seconds=track.cut_start_seconds,
        cut_seconds=track.cut_seconds,
    )
    try:
        "".join((row.id, row.source, row.group, row.member, *row.labels, *row.labels.values())).encode()
    except UnicodeEncodeError:
        return _badly_named(row)
    return row


def _badly_named(row: ClipRow) -> ClipRow:
    return replace(
        row,
        id=escaped(row.id),
        source=escaped(row.source),
        group=escaped(row.group),
        member=escaped(row.member),
        labels={escaped(task): escaped(label) for task, label in row.labels.items()},
        state="refused",
        reason="bad_name",
        detail=f"{escaped(row.member or row.source)} is not UTF-8; rename it",
    )


def escaped(text: str) -> str:
    """`text`, if it is UTF-8; else its bytes as Python writes them, which no name of an audio file can be: `b'...'`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return repr(text.encode("utf-8", "surrogateescape"))
    return text


def known_bound_frames(track: Track, spec: MelSpec) -> int:
    """Upper bound of the frames of `track` as its dataset states it; 0 if only the header can tell."""
    if track.cut_seconds:
        return _frames(track.cut_seconds, spec)
    if track.bound_seconds:
        return _frames(max(0.0, track.bound_seconds - track.cut_start_seconds), spec)
    return 0


def bound_frames(track: Track, spec: MelSpec, limits: Limits, in_process: bool = True) -> int:
    """Upper bound of the frames of `track`, as far as the header of its recording can be believed.

    Args:
        track: the recording, or the clip of one.
        spec: what a frame is.
        limits: what is the longest.
        in_process: whether a decoder may look at it in this process.
    """
    try:
        with source.opened(track.path, track.member) as path:
            seconds = claimed_seconds(path, in_process)
    except DecodeError:  # it will be refused, with its reason, when its turn comes
        seconds = 0.0
    believed = limits.max_seconds if seconds is None else min(seconds + SLACK_SECONDS, limits.max_seconds)
    return _frames(max(0.0, believed - track.cut_start_seconds), spec)


def counted_as_longest(rows: Sequence[ClipRow], spec: MelSpec, limits: Limits) -> int:
    """How many planned clips count as the longest there may be: nothing says how long they are, or they claim more."""
    longest = _frames(limits.max_seconds, spec)
    return sum(row.state == "planned" and row.bound_frames == longest for row in rows)


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
