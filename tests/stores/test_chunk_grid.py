"""The division of the frame axis, compared with a simple reference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores.chunk_grid import MAX_REGIONS, ChunkGrid, Region, pack_in_order, plan_regions
from stores.errors import InvalidInput

grids = st.tuples(st.integers(1, 20), st.integers(1, 10)).map(lambda t: ChunkGrid(t[0], t[0] * t[1]))
lengths = st.lists(st.integers(1, 120), max_size=60)


def _reference_packs(items, capacity):
    """Put each item into the last pack if it fits, and otherwise into a new pack."""
    reference = []
    for index, length in items:
        if reference and sum(size for _, size in reference[-1]) + length <= capacity:
            reference[-1].append((index, length))
        else:
            reference.append([(index, length)])
    return [[index for index, _ in pack] for pack in reference]


@given(lengths, st.integers(1, 200))
def test_packs_are_those_of_the_reference(sizes, capacity):
    items = list(enumerate(sizes, start=7))
    assert list(pack_in_order(items, capacity)) == _reference_packs(items, capacity)


def _recordings(lengths):
    """Return each clip as a recording of its own."""
    return [((clip,), frames) for clip, frames in lengths]


@given(grids, lengths, st.integers(0, 5))
def test_regions_are_aligned_disjoint_and_hold_each_clip_once(grid, sizes, offset):
    first = offset * grid.zarr_shard_frames
    regions = plan_regions(_recordings(enumerate(sizes)), grid, first)
    frames = {frame for region in regions for frame in range(region.start_frame, region.stop_frame)}
    assert len(frames) == sum(region.frames for region in regions)  # disjoint
    assert frames == set(range(first, first + len(frames)))  # without a gap
    for region in regions:
        assert region.start_frame % grid.zarr_shard_frames == region.stop_frame % grid.zarr_shard_frames == 0
        needed = sum(sizes[clip] for clip in region.clips)
        assert region.frames - grid.zarr_shard_frames < needed <= region.frames
    assert [clip for region in regions for clip in region.clips] == list(range(len(sizes)))


@given(grids, st.integers(1, 10_000))
def test_round_up_gives_the_next_start_of_a_zarr_shard(grid, frames):
    edges = range(0, frames + grid.zarr_shard_frames, grid.zarr_shard_frames)
    assert grid.round_up(frames) == next(edge for edge in edges if edge >= frames)


def test_a_long_clip_gets_a_region_of_its_own():
    grid = ChunkGrid(10, 100)
    assert plan_regions(_recordings([(0, 30), (1, 250), (2, 30)]), grid) == [
        Region(0, 100, (0,)),
        Region(100, 400, (1,)),
        Region(400, 500, (2,)),
    ]


def test_clips_fill_a_region_to_the_last_frame():
    assert plan_regions(_recordings([(5, 40), (3, 60), (9, 1)]), ChunkGrid(10, 100)) == [
        Region(0, 100, (5, 3)),
        Region(100, 200, (9,)),
    ]


def test_clips_of_one_recording_share_a_region():
    recordings = [((0, 1), 60), ((2, 3), 60), ((4,), 40)]
    assert [region.clips for region in plan_regions(recordings, ChunkGrid(10, 100))] == [(0, 1), (2, 3, 4)]


@pytest.mark.parametrize(("clips", "regions"), [(1, 1), (13, 1), (100, 8), (360, 17), (1_200, 16), (10_400, 100)])
def test_a_small_collection_is_spread_over_several_regions(clips, regions):
    planned = plan_regions([((clip,), 313) for clip in range(clips)], ChunkGrid())
    assert len(planned) == regions
    assert [clip for region in planned for clip in region.clips] == list(range(clips))
    assert {region.frames for region in planned} == {ChunkGrid().zarr_shard_frames}


@pytest.mark.parametrize("clips", [100, 425_984, 1_000_000, 2_000_000])
def test_millions_of_clips_need_at_most_max_regions(clips):
    grid = ChunkGrid()
    regions = plan_regions([(range(i, i + 1_000), 315_000) for i in range(0, clips, 1_000)], grid)
    assert 1 <= len(regions) <= MAX_REGIONS
    assert sum(len(region.clips) for region in regions) == -(-clips // 1_000) * 1_000
    assert all(region.frames % grid.zarr_shard_frames == 0 for region in regions)


def test_no_clips_need_no_regions():
    assert plan_regions([], ChunkGrid()) == []


def test_regions_start_only_at_a_zarr_shard():
    with pytest.raises(InvalidInput, match=r"first_frame must be a multiple of 100 \(got 50\)"):
        plan_regions([((0,), 1)], ChunkGrid(10, 100), first_frame=50)


@pytest.mark.parametrize("length", [0, -1])
def test_a_clip_without_frames_is_an_error(length):
    with pytest.raises(InvalidInput, match=f"clip 4 has a bound of {length} frames"):
        plan_regions([((4,), length)], ChunkGrid())


@pytest.mark.parametrize(("chunk", "shard"), [(0, 10), (-1, 10), (10, 15), (10, 5), (10, 0), (10, -10)])
def test_chunks_that_do_not_divide_a_zarr_shard_are_an_error(chunk, shard):
    with pytest.raises(InvalidInput, match="positive multiple"):
        ChunkGrid(chunk, shard)


def test_names_of_regions_sort_in_the_order_of_frames():
    starts = [0, 32_768, 1 << 30, 1 << 36]
    names = [Region(start, start + 32_768, ()).name for start in starts]
    assert names == sorted(names)
    assert names[0] == "region-000000000000"
