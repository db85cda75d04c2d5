"""The plan of an ingest: tracks become manifest rows, and rows get regions of the frame axis.

A region is planned from an upper bound of the frames of each clip. The bound comes from the dataset or from the file's
header, which can be wrong. A clip that is longer than its bound is planned again with its true length.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.audio import source
from pipeline.audio.inspect import bound_seconds
from pipeline.audio.remote import AudioPath, name_below
from pipeline.datasets.track import Track
from pipeline.ingestion import subprocess_inspect
from pipeline.ingestion.config import Limits
from stores import manifest
from stores.chunk_grid import ChunkGrid, Region, plan_regions
from stores.errors import DecodeError, InvalidInput
from stores.manifest import ClipRow, ClipRows
from stores.mel_spec import MelSpec

SLACK_SECONDS = 0.25
"""Seconds added to the claim of a header, which can be too short by rounding or by the padding of an encoder."""


def plan_rows(tracks: Sequence[Track], root: AudioPath, first_index: int = 0) -> ClipRows:
    """Return one planned row for each track, still without a region.

    A track is rejected at once if one of its names is not UTF-8.

    Raises:
        InvalidInput: there are no tracks, or two tracks have the same id.
    """
    if not tracks:
        raise InvalidInput(f"no audio found under {root}; state the folder that holds it with --root")
    rows = ClipRows.of(_row(track, first_index + position, root) for position, track in enumerate(tracks))
    if pc.count_distinct(rows.column("id")).as_py() < len(rows):
        _reject_repeated_id(tracks)
    return rows


def _reject_repeated_id(tracks: Sequence[Track]) -> None:
    paths: dict[str, AudioPath] = {}
    for track in tracks:
        if track.id in paths:
            raise InvalidInput(f"two tracks have the id {track.id!r}: {paths[track.id]} and {track.path}")
        paths[track.id] = track.path


def _row(track: Track, index: int, root: AudioPath) -> ClipRow:
    row = ClipRow(
        index=index,
        id=track.id,
        source=name_below(track.path, root),
        group=track.group,
        split=track.split,
        labels=track.labels,
        member=track.member,
        cut_start_seconds=track.cut_start_seconds,
        cut_seconds=track.cut_seconds,
        semitones=track.semitones,
    )
    try:
        "".join((row.id, row.source, row.group, row.member, *row.labels, *row.labels.values())).encode()
    except UnicodeEncodeError:
        return _reject_name(row)
    return row


def _reject_name(row: ClipRow) -> ClipRow:
    return replace(
        row,
        id=escape_non_utf8(row.id),
        source=escape_non_utf8(row.source),
        group=escape_non_utf8(row.group),
        member=escape_non_utf8(row.member),
        labels={escape_non_utf8(task): escape_non_utf8(label) for task, label in row.labels.items()},
        state="refused",
        reason="bad_name",
        detail=_name_advice(row.member or row.source),
    )


def _name_advice(name: str) -> str:
    """Return what to do about a name that Python could not read as text, which is the fault of a locale or the name."""
    try:
        readable = name.encode("utf-8", "surrogateescape").decode()
    except UnicodeDecodeError:
        return f"{escape_non_utf8(name)} is not UTF-8; rename it"
    locale = sys.getfilesystemencoding()
    return f"{readable} is UTF-8, but names of files are read as {locale} here; set PYTHONUTF8=1 and start again"


def escape_non_utf8(text: str) -> str:
    """Return `text` if it is UTF-8, and otherwise its bytes as Python prints them: `b'...'`.

    An audio file cannot have a name of this form, because such a name ends with a quote and not with a file suffix.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return repr(text.encode("utf-8", "surrogateescape"))
    return text


def stated_bound_frames(track: Track, spec: MelSpec) -> int:
    """Return the upper bound of the frames of `track` that its dataset states, or 0 if the header must be inspected."""
    if track.cut_seconds:
        return _frames(max(track.cut_seconds, track.bound_seconds), spec)
    if track.bound_seconds:
        return _frames(max(0.0, track.bound_seconds - track.cut_start_seconds), spec)
    return 0


def bound_frames(track: Track, spec: MelSpec, limits: Limits, in_process: bool = True) -> int:
    """Return an upper bound of the frames of `track`, from the header, the packets or the size of its recording.

    Args:
        track: a recording, or one clip of it.
        spec: the mel specification.
        limits: the limits of a recording. A longer bound counts as `max_seconds`.
        in_process: whether decoders may open the file in this process.
    """
    try:
        if not in_process:
            seconds = subprocess_inspect.read_seconds(track.path, track.member, limits.decode_seconds)
        else:
            with source.open_audio(track.path, track.member) as path:
                seconds = bound_seconds(path, limits.decode_seconds)
    except (DecodeError, OSError):  # the region task will reject it and record the reason
        seconds = 0.0
    bound = min(seconds + SLACK_SECONDS, limits.max_seconds)
    return _frames(max(0.0, bound - track.cut_start_seconds), spec)


def count_clips_at_limit(rows: Iterable[ClipRow], spec: MelSpec, limits: Limits) -> int:
    """Return the number of planned clips that count as `max_seconds` long.

    Their headers claim a length that is not shorter, or none, and then their size does not exclude it.
    """
    longest, clips = _frames(limits.max_seconds, spec), ClipRows.of(rows)
    return int((clips.in_state("planned") & (clips.numbers("bound_frames") == longest)).sum())


def work_of(regions: Iterable[Region], rows: ClipRows, spec: MelSpec, limits: Limits) -> dict[int, float]:
    """Return the frames that are expected of each region, by its first frame.

    Clips of unknown length, whose bound is `max_seconds`, count as the mean of the others.
    """
    bounds = rows.numbers("bound_frames").astype(np.float64)
    is_known = bounds < _frames(limits.max_seconds, spec)
    expected = np.where(is_known, bounds, bounds[is_known].mean() if is_known.any() else 1.0)
    return {region.start_frame: float(expected[list(region.clips)].sum()) for region in regions}


def _frames(seconds: float, spec: MelSpec) -> int:
    return spec.frames_for(math.ceil(seconds * spec.sample_rate_hz))


def assign_new_regions(rows: Iterable[ClipRow], bounds: Sequence[int] | NDArray[np.int64], grid: ChunkGrid) -> ClipRows:
    """Return `rows` with new regions, after all existing regions, for the rows with a positive bound.

    The clips of one recording share a region, so that the recording is decoded once.

    Args:
        rows: all rows of the manifest.
        bounds: upper bound `[rows]` of the frames of each row; 0 for rows that keep their region.
        grid: the chunk grid of the store.
    """
    clips, bound_frames = ClipRows.of(rows), np.asarray(bounds, np.int64)
    bounded = np.flatnonzero(bound_frames)
    if not len(bounded):
        return clips
    parcels = [
        (indices, int(bound_frames[list(indices)].sum())) for indices in _recordings(clips.take(bounded), bounded)
    ]
    updated = clips.with_columns(bound_frames=np.where(bound_frames, bound_frames, clips.numbers("bound_frames")))
    return manifest.assign_regions(updated, plan_regions(parcels, grid, manifest.total_frames(clips)))


def _recordings(rows: ClipRows, indices: NDArray[np.int64]) -> Iterator[tuple[int, ...]]:
    """Yield the indices of consecutive rows whose clips are in the same recording."""
    places = (rows.column(name).to_pylist() for name in ("source", "member", "semitones"))
    clips = zip(indices.tolist(), *places, strict=True)
    for _, recording in groupby(clips, key=lambda clip: clip[1:]):
        yield tuple(clip[0] for clip in recording)


def replan(rows: Iterable[ClipRow], grid: ChunkGrid) -> ClipRows:
    """Return `rows` with new regions for clips that did not fit: planned rows whose `frames` is the true length."""
    clips = ClipRows.of(rows)
    true_frames = np.where(clips.in_state("planned"), clips.numbers("frames"), 0)
    if not true_frames.any():
        return clips
    replanned = assign_new_regions(clips, true_frames, grid)
    return replanned.with_columns(frames=np.where(true_frames, 0, clips.numbers("frames")))
