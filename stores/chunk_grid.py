"""Integers only: clip lengths -> regions that each own whole Zarr shards.

Two tasks never write into one Zarr shard (concurrent writes inside a Zarr shard silently lose data), so every region
starts and stops on a Zarr shard's edge. Inside its region a task packs its clips one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stores.errors import InvalidInput


@dataclass(frozen=True)
class ChunkGrid:
    """How the frame axis is cut for I/O."""

    chunk_frames: int = 1_024
    """Frames of one compressed chunk (128 KiB of codes): one read."""
    zarr_shard_frames: int = 32_768
    """Frames of one Zarr shard (4 MiB of codes, about 100 clips of 10 s): one file, one writer."""

    def __post_init__(self) -> None:
        if self.chunk_frames <= 0 or self.zarr_shard_frames % self.chunk_frames:
            raise InvalidInput(f"{self}: zarr_shard_frames must be a positive multiple of chunk_frames")

    def round_up(self, frames: int) -> int:
        """The smallest whole number of Zarr shards, in frames, that holds `frames`."""
        return -(-frames // self.zarr_shard_frames) * self.zarr_shard_frames


@dataclass(frozen=True)
class Region:
    """The frames one task owns, and the clips it puts there."""

    first_clip: int
    """Index of its first clip in the manifest."""
    stop_clip: int
    """One past its last clip."""
    start_frame: int
    """First frame, at a Zarr shard's edge."""
    stop_frame: int
    """One past the last frame, at a Zarr shard's edge."""

    @property
    def name(self) -> str:
        """Stable name for files that belong to it."""
        return f"region-{self.first_clip:09d}-{self.stop_clip:09d}"


def plan_regions(bounds_frames: Sequence[int], grid: ChunkGrid, first_clip: int = 0) -> list[Region]:
    """Cut clips, in order, into regions of about one Zarr shard; a longer clip gets as many as it needs.

    Args:
        bounds_frames: an upper bound of each clip's frames.
        grid: the cut of the frame axis.
        first_clip: index of the first clip of `bounds_frames` in the manifest.

    Raises:
        InvalidInput: if a bound is not positive.
    """
    regions: list[Region] = []
    opened, used, frame = 0, 0, 0
    for position, bound in enumerate([*bounds_frames, None]):
        if bound is not None and bound <= 0:
            raise InvalidInput(f"clip {first_clip + position} has a bound of {bound} frames; it must be positive")
        full = bound is None or used + bound > grid.zarr_shard_frames
        if full and position > opened:
            stop = frame + grid.round_up(used)
            regions.append(Region(first_clip + opened, first_clip + position, frame, stop))
            opened, used, frame = position, 0, stop
        used += bound or 0
    return regions


def total_frames(regions: Sequence[Region]) -> int:
    """Length of the frame axis that holds `regions`."""
    return regions[-1].stop_frame if regions else 0
