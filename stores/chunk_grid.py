"""Division of the frame axis of a mel store into regions of whole Zarr shards.

Two concurrent writes inside one Zarr shard silently lose data. Therefore every region starts and ends at the boundary
of a Zarr shard, and one task writes it. The task packs its clips one after another inside its region.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stores.errors import InvalidInput

MAX_REGIONS = 4_096
"""Number of tasks that a scheduler handles easily. A million clips of 10 s would be 9,600 regions of one Zarr shard."""
MIN_REGIONS, MIN_REGION_FRAMES = 16, 4_096
"""Regions of a small collection may hold less than one Zarr shard, so that more than one worker has something to do."""


@dataclass(frozen=True)
class ChunkGrid:
    """The division of the frame axis into chunks and Zarr shards."""

    chunk_frames: int = 2_048
    """Frames of a compressed chunk (256 KiB of codes), the unit of reading. With 1,024, writing took twice as long."""
    zarr_shard_frames: int = 32_768
    """Frames of a Zarr shard (4 MiB of codes, about 100 clips of 10 s), which is one file with one writer."""

    def __post_init__(self) -> None:
        if not 0 < self.chunk_frames <= self.zarr_shard_frames or self.zarr_shard_frames % self.chunk_frames:
            raise InvalidInput(f"{self}: zarr_shard_frames must be a positive multiple of chunk_frames")

    def round_up(self, frames: int) -> int:
        """Return the length in frames of the fewest whole Zarr shards that hold `frames` frames."""
        return -(-frames // self.zarr_shard_frames) * self.zarr_shard_frames


@dataclass(frozen=True)
class Region:
    """The frames that one task writes, and the clips that it stores there."""

    start_frame: int
    """First frame, which is the start of a Zarr shard."""
    stop_frame: int
    """Frame after the last, which is the end of a Zarr shard."""
    clips: tuple[int, ...]
    """Indices of the clips, in the order in which they are packed."""

    @property
    def frames(self) -> int:
        """Length of the region in frames."""
        return self.stop_frame - self.start_frame

    @property
    def name(self) -> str:
        """Name of the region, which depends only on its first frame and is used in file names."""
        return f"region-{self.start_frame:012d}"


def plan_regions(
    recordings: Sequence[tuple[tuple[int, ...], int]], grid: ChunkGrid, first_frame: int = 0
) -> list[Region]:
    """Assign recordings, in their order, to regions of whole Zarr shards.

    A region is about one Zarr shard long, and longer if one recording needs more. If that gave more than `MAX_REGIONS`
    regions, each region gets several Zarr shards. If it gave fewer than `MIN_REGIONS`, each region fills only a part of
    its Zarr shard. The gap that remains on the frame axis takes no disk space.

    Args:
        recordings: for each recording, the indices of its clips and the upper bound of their frames. All clips of a
            recording are in one region.
        grid: the division of the frame axis.
        first_frame: start of the first region, at the start of a Zarr shard.

    Raises:
        InvalidInput: a bound is not positive, or `first_frame` is not the start of a Zarr shard.
    """
    for clips, frames in recordings:
        if frames <= 0:
            raise InvalidInput(f"clip {clips[0]} has a bound of {frames} frames; it must be positive")
    if first_frame % grid.zarr_shard_frames:
        raise InvalidInput(f"first_frame must be a multiple of {grid.zarr_shard_frames} (got {first_frame})")
    capacity = _capacity_frames(sum(frames for _, frames in recordings), grid)
    regions: list[Region] = []
    for positions in pack_in_order(((i, frames) for i, (_, frames) in enumerate(recordings)), capacity):
        stop = first_frame + grid.round_up(sum(recordings[i][1] for i in positions))
        regions.append(Region(first_frame, stop, tuple(clip for i in positions for clip in recordings[i][0])))
        first_frame = stop
    return regions


def _capacity_frames(total_frames: int, grid: ChunkGrid) -> int:
    share = -(-total_frames // MIN_REGIONS)
    if share < grid.zarr_shard_frames:
        return min(grid.zarr_shard_frames, max(share, MIN_REGION_FRAMES))
    return grid.round_up(-(-total_frames // MAX_REGIONS))


def pack_in_order(lengths: Iterable[tuple[int, int]], capacity: int) -> Iterator[list[int]]:
    """Yield lists of consecutive indices such that the lengths of each list sum to at most `capacity`.

    An item that is longer than the capacity is in a list of its own.

    Args:
        lengths: index and length of each item.
        capacity: the largest sum of lengths in one list.

    Raises:
        InvalidInput: a length is not positive.
    """
    pack: list[int] = []
    used = 0
    for index, length in lengths:
        if length <= 0:
            raise InvalidInput(f"item {index} has a length of {length}; it must be positive")
        if pack and used + length > capacity:
            yield pack
            pack, used = [], 0
        pack.append(index)
        used += length
    if pack:
        yield pack
