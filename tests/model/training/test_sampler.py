"""The clip sampler: no batch holds a clip twice, no clip is lost over epochs, and steps can be read in any order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.training.sampler import ClipSampler
from stores.errors import InvalidInput

SIZES = st.integers(1, 50).flatmap(lambda clips: st.tuples(st.just(clips), st.integers(1, clips)))
SEEDS = st.integers(0, 2**62)


def _epoch(sampler, epoch):
    """Return all clips of an epoch in the order of its steps."""
    first = epoch * sampler.steps_per_epoch
    return np.concatenate([sampler.batch(step) for step in range(first, first + sampler.steps_per_epoch)]).tolist()


@given(SIZES, SEEDS)
def test_no_epoch_and_no_batch_contains_a_clip_twice(sizes, seed):
    clips, batch = sizes
    sampler = ClipSampler(clips, batch, seed)
    for epoch in range(4):
        sampled = _epoch(sampler, epoch)
        assert len(sampled) == len(set(sampled)) == clips // batch * batch
        assert set(sampled) <= set(range(clips))


@given(SIZES, SEEDS)
def test_clips_that_an_epoch_leaves_over_come_first_in_the_next(sizes, seed):
    clips, batch = sizes
    sampler = ClipSampler(clips, batch, seed)
    for epoch in range(4):
        left_over = set(range(clips)) - set(_epoch(sampler, epoch))
        assert set(_epoch(sampler, epoch + 1)[: len(left_over)]) == left_over


@given(SIZES, SEEDS)
def test_an_epoch_and_the_batch_after_it_contain_every_clip(sizes, seed):
    clips, batch = sizes
    sampler = ClipSampler(clips, batch, seed)
    for start in (0, sampler.steps_per_epoch, 3 * sampler.steps_per_epoch):
        steps = range(start, start + sampler.steps_per_epoch + 1)
        assert {int(clip) for step in steps for clip in sampler.batch(step)} == set(range(clips))


@given(st.integers(2, 30), SEEDS)
def test_clips_occur_equally_often_over_many_epochs(clips, seed):
    batch = clips // 2 + 1  # the worst case: nearly half of each epoch is left over
    sampler = ClipSampler(clips, batch, seed)
    counts = np.bincount(np.concatenate([sampler.batch(step) for step in range(60)]), minlength=clips)
    assert counts.min() >= 30  # no clip is left out twice in a row
    assert counts.sum() == 60 * batch


@given(SIZES, SEEDS, st.lists(st.integers(0, 200), min_size=1, max_size=12))
def test_the_order_of_requests_does_not_change_the_batches(sizes, seed, steps):
    clips, batch = sizes
    in_order, in_any_order = ClipSampler(clips, batch, seed), ClipSampler(clips, batch, seed)
    batches = [in_order.batch(step) for step in range(max(steps) + 1)]
    for step in steps:
        np.testing.assert_array_equal(in_any_order.batch(step), batches[step])
    np.testing.assert_array_equal(ClipSampler(clips, batch, seed).batch(steps[0]), batches[steps[0]])


def test_threads_around_epoch_boundaries_get_the_right_batches():
    in_order, shared = ClipSampler(23, 5, 0), ClipSampler(23, 5, 0)
    steps = np.random.default_rng(0).permuted(np.arange(200).reshape(-1, 8), axis=1).ravel().tolist()
    expected = {step: in_order.batch(step) for step in sorted(steps)}
    with ThreadPoolExecutor(4) as threads:
        batches = list(threads.map(shared.batch, steps))
    for step, batch in zip(steps, batches, strict=True):
        np.testing.assert_array_equal(batch, expected[step])


def test_steps_on_both_sides_of_a_boundary_shuffle_each_epoch_once(monkeypatch):
    sampler, shuffled = ClipSampler(10, 5, 0), []
    monkeypatch.setattr(sampler, "_permutation", lambda epoch, clips: shuffled.append(epoch) or clips)
    for step in (0, 7, 6, 8, 7, 8, 9, 8):  # two steps per epoch
        sampler.batch(step)
    assert shuffled == [1, 2, 3, 4]


def test_epochs_and_seeds_are_shuffled_differently():
    sampler = ClipSampler(100, 50, 0)
    assert _epoch(sampler, 0) != _epoch(sampler, 1)
    assert _epoch(sampler, 0) != _epoch(ClipSampler(100, 50, 1), 0)
    assert _epoch(sampler, 0) != sorted(_epoch(sampler, 0))


def test_reading_other_batches_does_not_change_a_batch():
    sampler = ClipSampler(10, 5, 0)
    before = sampler.batch(0).copy()
    sampler.batch(1)
    sampler.batch(7)
    np.testing.assert_array_equal(sampler.batch(0), before)


def test_fewer_clips_than_a_batch_are_an_error_with_both_numbers():
    with pytest.raises(
        InvalidInput, match=r"7 clips can be trained on, but a batch holds 8: lower --batch to at most 7"
    ):
        ClipSampler(7, 8, 0)
    assert ClipSampler(8, 8, 0).steps_per_epoch == 1
