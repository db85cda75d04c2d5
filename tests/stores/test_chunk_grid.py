"""The cut of the frame axis, against a reference that is obviously right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores.chunk_grid import MAX_REGIONS, ChunkGrid, Region, packs, plan_regions
from stores.errors import InvalidInput

grids = st.tuples(st.integers(1, 20), st.integers(1, 10)).map(lambda t: ChunkGrid(t[0], t[0] * t[1]))
lengths = st.lists(st.integers(1, 120), max_size=60)


def _reference_packs(items, capacity):
    """Each clip goes into the last pack if it fits there, else into a new one."""
    packed = []
    for index, length in items:
        if packed and sum(size for _, size in packed[-1]) + length <= capacity:
            packed[-1].append((index, length))
        else:
            packed.append([(index, length)])
    return [[index for index, _ in pack] for pack in packed]


@given(lengths, st.integers(1, 200))
def test_packs_are_those_of_the_reference(sizes, capacity):
    items = list(enumerate(sizes, start=7))
    assert list(packs(items, capacity)) == _reference_packs(items, capacity)


def _alone(lengths):
    """Each clip a parcel of its own."""
    return [((clip,), frames) for clip, frames in lengths]


@given(grids, lengths, st.integers(0, 5))
def test_regions_are_aligned_disjoint_and_hold_each_clip_once(grid, sizes, offset):
    first = offset * grid.zarr_shard_frames
    regions = plan_regions(_alone(enumerate(sizes)), grid, first)
    frames = {frame for region in regions for frame in range(region.start_frame, region.stop_frame)}
    assert len(frames) == sum(region.frames for region in regions)  # disjoint
    assert frames == set(range(first, first + len(frames)))  # and without a gap
    for region in regions:
        assert region.start_frame % grid.zarr_shard_frames == region.stop_frame % grid.zarr_shard_frames == 0
        needed = sum(sizes[clip] for clip in region.clips)
        assert region.frames - grid.zarr_shard_frames < needed <= region.frames
    assert [clip for region in regions for clip in region.clips] == list(range(len(sizes)))


@given(grids, st.integers(1, 10_000))
def test_rounding_up_gives_the_first_edge_that_is_not_before(grid, frames):
    edges = range(0, frames + grid.zarr_shard_frames, grid.zarr_shard_frames)
    assert grid.round_up(frames) == next(edge for edge in edges if edge >= frames)


def test_a_long_clip_gets_a_region_of_its_own():
    grid = ChunkGrid(10, 100)
    assert plan_regions(_alone([(0, 30), (1, 250), (2, 30)]), grid) == [
        Region(0, 100, (0,)),
        Region(100, 400, (1,)),
        Region(400, 500, (2,)),
    ]


def test_clips_share_a_region_to_the_last_frame():
    assert plan_regions(_alone([(5, 40), (3, 60), (9, 1)]), ChunkGrid(10, 100)) == [
        Region(0, 100, (5, 3)),
        Region(100, 200, (9,)),
    ]


def test_clips_of_one_recording_share_a_region():
    parcels = [((0, 1), 60), ((2, 3), 60), ((4,), 40)]
    assert [region.clips for region in plan_regions(parcels, ChunkGrid(10, 100))] == [(0, 1), (2, 3, 4)]


@pytest.mark.parametrize(("clips", "regions"), [(1, 1), (13, 1), (100, 8), (360, 17), (1_200, 16), (10_400, 100)])
def test_small_collections_are_cut_finer_than_by_zarr_shards(clips, regions):
    found = plan_regions([((clip,), 313) for clip in range(clips)], ChunkGrid())
    assert len(found) == regions
    assert [clip for region in found for clip in region.clips] == list(range(clips))
    assert {region.frames for region in found} == {ChunkGrid().zarr_shard_frames}


@pytest.mark.parametrize("clips", [100, 425_984, 1_000_000, 2_000_000])
def test_millions_of_clips_stay_within_the_tasks_that_a_scheduler_takes(clips):
    grid = ChunkGrid()
    regions = plan_regions([(range(i, i + 1_000), 315_000) for i in range(0, clips, 1_000)], grid)
    assert 1 <= len(regions) <= MAX_REGIONS
    assert sum(len(region.clips) for region in regions) == -(-clips // 1_000) * 1_000
    assert all(region.frames % grid.zarr_shard_frames == 0 for region in regions)


def test_no_clips_need_no_regions():
    assert plan_regions([], ChunkGrid()) == []


def test_regions_go_on_only_at_an_edge():
    with pytest.raises(InvalidInput, match="cannot start at frame 50"):
        plan_regions([((0,), 1)], ChunkGrid(10, 100), first_frame=50)


@pytest.mark.parametrize("length", [0, -1])
def test_a_clip_without_frames_is_refused(length):
    with pytest.raises(InvalidInput, match=f"clip 4 has a bound of {length} frames"):
        plan_regions([((4,), length)], ChunkGrid())


@pytest.mark.parametrize(("chunk", "shard"), [(0, 10), (-1, 10), (10, 15), (10, 5), (10, 0), (10, -10)])
def test_cuts_that_do_not_fit_into_each_other_are_refused(chunk, shard):
    with pytest.raises(InvalidInput, match="positive multiple"):
        ChunkGrid(chunk, shard)


def test_names_of_regions_sort_like_their_frames():
    starts = [0, 32_768, 1 << 30, 1 << 36]
    names = [Region(start, start + 32_768, ()).name for start in starts]
    assert names == sorted(names)
    assert names[0] == "region-000000000000"
