"""From clips to batches: every window is a slice of the clip it claims, and a batch is a function of seed and step."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import tiny
import torch

from model.training import stream as stream_module
from model.training.resident import ResidentClips
from model.training.sources import TrainingShards
from model.training.stream import VIEWS, TrainingBatch, WindowStream
from pipeline.sharding.shard_writer import ShardPlan, write_shards
from stores import locations
from stores.errors import InvalidInput

LENGTHS = [96, 300, 0, 120, 97, 50, 200, 110, 96, 150]


@pytest.fixture
def store(make_store):
    return make_store(LENGTHS)


@pytest.fixture
def shards(store):
    return write_shards(store, locations.shards(store.path), ShardPlan(record_frames=320, records_per_shard=1))


def test_every_window_is_a_slice_of_the_clip_that_its_index_names(store, shards):
    stream = WindowStream(ResidentClips.load(TrainingShards((shards,))), 5, 96, seed=0)
    for step in range(20):
        batch = stream.batch(step)
        assert batch.windows(96).shape == (VIEWS * 5, 96, 128)
        assert batch.windows(96).dtype == torch.uint8
        for place, window in enumerate(batch.windows(96).numpy()):
            codes = store.codes(int(batch.indices[place % 5]))
            starts = range(codes.shape[1] - 96 + 1)
            assert any(np.array_equal(window.T, codes[:, start : start + 96]) for start in starts)


def test_a_clip_of_exactly_one_window_gives_it_twice(store, shards):
    stream = WindowStream(ResidentClips.load(TrainingShards((shards,))), 8, 96, seed=0)
    batch = stream.batch(0)
    place = batch.indices.tolist().index(8)
    for view in range(VIEWS):
        np.testing.assert_array_equal(batch.windows(96)[view * 8 + place].numpy().T, store.codes(8))


def test_a_batch_points_into_the_codes_of_all_clips_and_cuts_nothing_before_it_is_asked():
    clips = tiny.resident(tiny.LENGTHS)
    batch = WindowStream(clips, 4, 96, 0).batch(0)
    assert batch.codes.data_ptr() == clips.codes.data_ptr()
    assert batch.starts.shape == (VIEWS * 4,)
    expected = [clips.codes[start : start + 96] for start in batch.starts.tolist()]
    assert torch.equal(batch.windows(96), torch.stack(expected))


def test_windows_that_are_cut_already_make_a_batch_that_gives_them_back():
    windows = torch.randint(0, 256, (6, 96, 128), dtype=torch.uint8)
    batch = TrainingBatch.from_windows(windows, torch.arange(3), epoch=2)
    assert torch.equal(batch.windows(96), windows)
    assert batch.codes.data_ptr() == windows.data_ptr()
    assert batch.epoch == 2


def _starts(lengths, steps, seed=0):
    """Where the windows of each view of clip 0 start, told by codes that count frames."""
    clips = tiny.resident(lengths)
    clips.codes[:] = torch.arange(len(clips.codes), dtype=torch.uint8)[:, None] if len(clips.codes) < 256 else 0
    stream = WindowStream(clips, 2, 96, seed)
    found = []
    for step in range(steps):
        batch = stream.batch(step)
        place = batch.indices.tolist().index(0)
        found.append([int(batch.windows(96)[view * 2 + place, 0, 0]) for view in range(VIEWS)])
    return np.array(found)


def test_windows_start_anywhere_alike_and_the_views_independently():
    starts = _starts([105, 96], 3000)  # clip 0 has ten places
    for view in range(VIEWS):
        counts = Counter(starts[:, view].tolist())
        assert set(counts) == set(range(10))
        assert min(counts.values()) > 220  # 300 expected, standard deviation 16
        assert max(counts.values()) < 380
    assert abs(np.corrcoef(starts.T)[0, 1]) < 0.07
    assert 0.07 < (starts[:, 0] == starts[:, 1]).mean() < 0.13


def test_a_batch_is_a_function_of_seed_and_step_alone():
    def windows(seed, step):
        stream = WindowStream(tiny.resident(tiny.LENGTHS), 4, 96, seed)
        return stream.batch(step)

    stream = WindowStream(tiny.resident(tiny.LENGTHS), 4, 96, 5)
    walked = [stream.batch(step) for step in range(8)]
    np.random.seed(0)
    torch.manual_seed(0)
    for step in (7, 0, 3):
        alone = windows(5, step)
        assert torch.equal(alone.windows(96), walked[step].windows(96))
        assert torch.equal(alone.indices, walked[step].indices)
    assert not torch.equal(windows(6, 0).windows(96), walked[0].windows(96))
    assert not torch.equal(walked[0].windows(96), walked[1].windows(96))


@pytest.mark.parametrize("distance", [None, 3])
def test_ranks_share_the_batch_of_one_in_order(monkeypatch, distance):
    def batch(mine):
        monkeypatch.setattr(stream_module.ranks, "part_of", lambda _: mine)
        return WindowStream(tiny.resident(tiny.LENGTHS), 6, 96, 1, distance).batch(3)

    whole, parts = batch(slice(None)), [batch(slice(first, first + 2)) for first in (0, 2, 4)]
    assert torch.equal(torch.cat([part.indices for part in parts]), whole.indices)
    views = [torch.cat([part.windows(96).chunk(VIEWS)[view] for part in parts]) for view in range(VIEWS)]
    assert torch.equal(torch.cat(views), whole.windows(96))


def test_windows_of_a_clip_start_no_farther_from_each_other_than_allowed():
    clips = tiny.resident([400] * 8)
    starts = torch.stack([WindowStream(clips, 8, 96, 0, 7).batch(step).starts.view(VIEWS, 8) for step in range(50)])
    assert (starts[:, 0] - starts[:, 1]).abs().max() == 7


def test_fewer_clips_than_a_batch_are_refused():
    with pytest.raises(InvalidInput, match="2 clips can be trained on, but a batch holds 3"):
        WindowStream(tiny.resident([100, 100]), 3, 96, 0)


def test_a_clip_shorter_than_a_window_is_refused():
    with pytest.raises(InvalidInput, match="a clip has 95 frames, a window 96"):
        WindowStream(tiny.resident([100, 95, 100]), 2, 96, 0)
