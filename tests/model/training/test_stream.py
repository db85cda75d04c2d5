"""The data stream: every window is a slice of its clip, and a batch is a function of seed and step."""

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


@pytest.mark.slow
def test_every_window_is_a_slice_of_the_clip_with_its_index(store, shards):
    stream = WindowStream(ResidentClips.load(TrainingShards((shards,))), 5, 96, seed=0)
    for step in range(20):
        batch = stream.batch(step)
        assert batch.windows(96).shape == (VIEWS * 5, 96, 128)
        assert batch.windows(96).dtype == torch.uint8
        for position, window in enumerate(batch.windows(96).numpy()):
            codes = store.codes(int(batch.indices[position % 5]))
            starts = range(codes.shape[1] - 96 + 1)
            assert any(np.array_equal(window.T, codes[:, start : start + 96]) for start in starts)


def test_a_clip_of_one_window_gives_this_window_twice(store, shards):
    stream = WindowStream(ResidentClips.load(TrainingShards((shards,))), 8, 96, seed=0)
    batch = stream.batch(0)
    position = batch.indices.tolist().index(8)
    for view in range(VIEWS):
        np.testing.assert_array_equal(batch.windows(96)[view * 8 + position].numpy().T, store.codes(8))


def test_a_batch_refers_to_the_codes_of_all_clips_without_a_copy():
    clips = tiny.resident(tiny.LENGTHS)
    batch = WindowStream(clips, 4, 96, 0).batch(0)
    assert batch.codes.data_ptr() == clips.codes.data_ptr()
    assert batch.starts.shape == (VIEWS * 4,)
    expected = [clips.codes[start : start + 96] for start in batch.starts.tolist()]
    assert torch.equal(batch.windows(96), torch.stack(expected))


def test_a_batch_of_given_windows_returns_these_windows():
    windows = torch.randint(0, 256, (6, 96, 128), dtype=torch.uint8)
    batch = TrainingBatch.from_windows(windows, torch.arange(3), epoch=2)
    assert torch.equal(batch.windows(96), windows)
    assert batch.codes.data_ptr() == windows.data_ptr()
    assert batch.epoch == 2


def _starts_of_clip_0(lengths, steps, seed=0):
    """Return the starts of both views of clip 0 in each step, read from codes that count frames."""
    clips = tiny.resident(lengths)
    clips.codes[:] = torch.arange(len(clips.codes), dtype=torch.uint8)[:, None] if len(clips.codes) < 256 else 0
    stream = WindowStream(clips, 2, 96, seed)
    starts = []
    for step in range(steps):
        batch = stream.batch(step)
        position = batch.indices.tolist().index(0)
        starts.append([int(batch.windows(96)[view * 2 + position, 0, 0]) for view in range(VIEWS)])
    return np.array(starts)


@pytest.mark.slow
def test_starts_are_uniform_and_independent_between_views():
    starts = _starts_of_clip_0([105, 96], 3000)  # ten possible starts
    for view in range(VIEWS):
        counts = Counter(starts[:, view].tolist())
        assert set(counts) == set(range(10))
        assert min(counts.values()) > 220  # 300 expected, standard deviation 16
        assert max(counts.values()) < 380
    assert abs(np.corrcoef(starts.T)[0, 1]) < 0.07
    assert 0.07 < (starts[:, 0] == starts[:, 1]).mean() < 0.13


def test_a_batch_is_a_function_of_seed_and_step():
    def batch(seed, step):
        return WindowStream(tiny.resident(tiny.LENGTHS), 4, 96, seed).batch(step)

    stream = WindowStream(tiny.resident(tiny.LENGTHS), 4, 96, 5)
    batches = [stream.batch(step) for step in range(8)]
    np.random.seed(0)
    torch.manual_seed(0)
    for step in (7, 0, 3):
        alone = batch(5, step)
        assert torch.equal(alone.windows(96), batches[step].windows(96))
        assert torch.equal(alone.indices, batches[step].indices)
    assert not torch.equal(batch(6, 0).windows(96), batches[0].windows(96))
    assert not torch.equal(batches[0].windows(96), batches[1].windows(96))


@pytest.mark.parametrize("distance", [None, 3])
def test_the_shares_of_the_ranks_are_the_batch_in_order(monkeypatch, distance):
    def batch(local):
        monkeypatch.setattr(stream_module.ranks, "local_slice", lambda _: local)
        return WindowStream(tiny.resident(tiny.LENGTHS), 6, 96, 1, distance).batch(3)

    whole, shares = batch(slice(None)), [batch(slice(first, first + 2)) for first in (0, 2, 4)]
    assert torch.equal(torch.cat([share.indices for share in shares]), whole.indices)
    views = [torch.cat([share.windows(96).chunk(VIEWS)[view] for share in shares]) for view in range(VIEWS)]
    assert torch.equal(torch.cat(views), whole.windows(96))


def test_starts_of_a_clip_are_at_most_the_given_distance_apart():
    clips = tiny.resident([400] * 8)
    starts = torch.stack([WindowStream(clips, 8, 96, 0, 7).batch(step).starts.view(VIEWS, 8) for step in range(50)])
    assert (starts[:, 0] - starts[:, 1]).abs().max() == 7


def test_fewer_clips_than_a_batch_are_an_error():
    with pytest.raises(InvalidInput, match="2 clips can be trained on, but a batch holds 3"):
        WindowStream(tiny.resident([100, 100]), 3, 96, 0)


def test_a_clip_shorter_than_a_window_is_an_error():
    with pytest.raises(InvalidInput, match="a clip has 95 frames, but a window has 96"):
        WindowStream(tiny.resident([100, 95, 100]), 2, 96, 0)
