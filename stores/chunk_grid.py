"""Integers only: clip lengths -> regions that each own whole Zarr shards.

Two tasks never write into one Zarr shard (concurrent writes inside a Zarr shard silently lose data), so every region
starts and stops on a Zarr shard's edge. Inside its region a task packs its clips one after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stores.errors import InvalidInput

MAX_REGIONS = 4_096
"""Tasks that a scheduler takes without effort; a million clips of 10 s would be 9,600 of one Zarr shard each."""
MIN_REGIONS, MIN_REGION_FRAMES = 16, 4_096
"""A small collection is cut finer than by Zarr shards, so that more than one worker has something to do."""


@dataclass(frozen=True)
class ChunkGrid:
    """How the frame axis is cut for I/O."""

    chunk_frames: int = 2_048
    """Frames of one compressed chunk (256 KiB of codes): one read; with 1,024, writing took twice as long."""
    zarr_shard_frames: int = 32_768
    """Frames of one Zarr shard (4 MiB of codes, about 100 clips of 10 s): one file, one writer."""

    def __post_init__(self) -> None:
        if not 0 < self.chunk_frames <= self.zarr_shard_frames or self.zarr_shard_frames % self.chunk_frames:
            raise InvalidInput(f"{self}: zarr_shard_frames must be a positive multiple of chunk_frames")

    def round_up(self, frames: int) -> int:
        """The smallest whole number of Zarr shards, in frames, that holds `frames`."""
        return -(-frames // self.zarr_shard_frames) * self.zarr_shard_frames


@dataclass(frozen=True)
class Region:
    """The frames one task owns, and the clips it puts there."""

    start_frame: int
    """First frame, at a Zarr shard's edge."""
    stop_frame: int
    """One past the last frame, at a Zarr shard's edge."""
    clips: tuple[int, ...]
    """Indices of its clips, in the order in which they are packed."""

    @property
    def frames(self) -> int:
        """Frames it owns."""
        return self.stop_frame - self.start_frame

    @property
    def name(self) -> str:
        """Stable name for files that belong to it."""
        return f"region-{self.start_frame:012d}"


def plan_regions(parcels: Sequence[tuple[tuple[int, ...], int]], grid: ChunkGrid, first_frame: int = 0) -> list[Region]:
    """Cut clips, in order, into regions of whole Zarr shards; a longer parcel gets as many as it needs.

    A region is about one Zarr shard. Where that gave more than `MAX_REGIONS`, each gets several; where it gave fewer
    than `MIN_REGIONS`, each fills only a part of its own, which leaves a gap on the frame axis and costs no bytes.

    Args:
        parcels: clips that must lie in one region, since one recording holds them, and the upper bound of their frames.
        grid: the cut of the frame axis.
        first_frame: where the first region starts, at a Zarr shard's edge.

    Raises:
        InvalidInput: if a bound is not positive, or `first_frame` not at an edge.
    """
    for clips, frames in parcels:
        if frames <= 0:
            raise InvalidInput(f"clip {clips[0]} has a bound of {frames} frames; it must be positive")
    if first_frame % grid.zarr_shard_frames:
        raise InvalidInput(f"regions cannot start at frame {first_frame}: no multiple of {grid.zarr_shard_frames}")
    capacity = _capacity_frames(sum(frames for _, frames in parcels), grid)
    regions: list[Region] = []
    for positions in packs(((i, frames) for i, (_, frames) in enumerate(parcels)), capacity):
        stop = first_frame + grid.round_up(sum(parcels[i][1] for i in positions))
        regions.append(Region(first_frame, stop, tuple(clip for i in positions for clip in parcels[i][0])))
        first_frame = stop
    return regions


def _capacity_frames(total_frames: int, grid: ChunkGrid) -> int:
    shares = -(-total_frames // MIN_REGIONS)
    if shares < grid.zarr_shard_frames:
        return min(grid.zarr_shard_frames, max(shares, MIN_REGION_FRAMES))
    return grid.round_up(-(-total_frames // MAX_REGIONS))


def packs(lengths_frames: Iterable[tuple[int, int]], capacity_frames: int) -> Iterator[list[int]]:
    """Indices in order, cut so that the lengths of each pack sum to at most `capacity_frames`.

    A clip that is longer than the capacity is a pack of its own.

    Args:
        lengths_frames: index and length of each clip.
        capacity_frames: what a pack holds.

    Raises:
        InvalidInput: if a length is not positive.
    """
    clips: list[int] = []
    used = 0
    for index, length in lengths_frames:
        if length <= 0:
            raise InvalidInput(f"item {index} has a length of {length} frames; it must be positive")
        if clips and used + length > capacity_frames:
            yield clips
            clips, used = [], 0
        clips.append(index)
        used += length
    if clips:
        yield clips
