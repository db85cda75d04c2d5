"""The order of clips: nothing twice in a batch, nothing lost over epochs, and every step can be asked for by itself."""

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


def _epoch(order, epoch):
    """All clips of an epoch in the order of its steps."""
    first = epoch * order.steps_per_epoch
    return np.concatenate([order.batch(step) for step in range(first, first + order.steps_per_epoch)]).tolist()


@given(SIZES, SEEDS)
def test_no_epoch_holds_a_clip_twice_so_no_batch_does(sizes, seed):
    clips, batch = sizes
    order = ClipSampler(clips, batch, seed)
    for epoch in range(4):
        seen = _epoch(order, epoch)
        assert len(seen) == len(set(seen)) == clips // batch * batch
        assert set(seen) <= set(range(clips))


@given(SIZES, SEEDS)
def test_what_an_epoch_leaves_over_opens_the_next_one(sizes, seed):
    clips, batch = sizes
    order = ClipSampler(clips, batch, seed)
    for epoch in range(4):
        left_over = set(range(clips)) - set(_epoch(order, epoch))
        assert set(_epoch(order, epoch + 1)[: len(left_over)]) == left_over


@given(SIZES, SEEDS)
def test_every_clip_is_seen_within_an_epoch_and_the_batch_after_it(sizes, seed):
    clips, batch = sizes
    order = ClipSampler(clips, batch, seed)
    for start in (0, order.steps_per_epoch, 3 * order.steps_per_epoch):
        steps = range(start, start + order.steps_per_epoch + 1)
        assert {int(clip) for step in steps for clip in order.batch(step)} == set(range(clips))


@given(st.integers(2, 30), SEEDS)
def test_over_many_epochs_no_clip_is_favoured(clips, seed):
    batch = clips // 2 + 1  # the worst case: nearly half of each epoch is left over
    order = ClipSampler(clips, batch, seed)
    counts = np.bincount(np.concatenate([order.batch(step) for step in range(60)]), minlength=clips)
    assert counts.min() >= 30  # nobody is left out twice in a row
    assert counts.sum() == 60 * batch


@given(SIZES, SEEDS, st.lists(st.integers(0, 200), min_size=1, max_size=12))
def test_steps_asked_for_in_any_order_are_those_of_a_walk(sizes, seed, steps):
    clips, batch = sizes
    walk, jumps = ClipSampler(clips, batch, seed), ClipSampler(clips, batch, seed)
    walked = [walk.batch(step) for step in range(max(steps) + 1)]
    for step in steps:
        np.testing.assert_array_equal(jumps.batch(step), walked[step])
    np.testing.assert_array_equal(ClipSampler(clips, batch, seed).batch(steps[0]), walked[steps[0]])


def test_threads_that_ask_at_once_around_boundaries_get_what_a_walk_gets():
    walk, shared = ClipSampler(23, 5, 0), ClipSampler(23, 5, 0)
    steps = np.random.default_rng(0).permuted(np.arange(200).reshape(-1, 8), axis=1).ravel().tolist()
    walked = {step: walk.batch(step) for step in sorted(steps)}
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(shared.batch, steps))
    for step, batch in zip(steps, found, strict=True):
        np.testing.assert_array_equal(batch, walked[step])


def test_going_to_and_fro_over_a_boundary_shuffles_nothing_again(monkeypatch):
    order, shuffled = ClipSampler(10, 5, 0), []
    monkeypatch.setattr(order, "_permutation", lambda epoch, clips: shuffled.append(epoch) or clips)
    for step in (0, 7, 6, 8, 7, 8, 9, 8):  # two steps an epoch
        order.batch(step)
    assert shuffled == [1, 2, 3, 4]


def test_epochs_and_seeds_are_shuffled_differently():
    order = ClipSampler(100, 50, 0)
    assert _epoch(order, 0) != _epoch(order, 1)
    assert _epoch(order, 0) != _epoch(ClipSampler(100, 50, 1), 0)
    assert _epoch(order, 0) != sorted(_epoch(order, 0))


def test_the_clips_themselves_are_left_alone_by_who_reads_a_batch():
    order = ClipSampler(10, 5, 0)
    before = order.batch(0).copy()
    order.batch(1)
    order.batch(7)
    np.testing.assert_array_equal(order.batch(0), before)


def test_fewer_clips_than_a_batch_are_refused_with_both_numbers():
    with pytest.raises(
        InvalidInput, match=r"7 clips can be trained on, but a batch holds 8: lower --batch to at most 7"
    ):
        ClipSampler(7, 8, 0)
    assert ClipSampler(8, 8, 0).steps_per_epoch == 1
