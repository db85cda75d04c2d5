"""Intervals by drawing groups, against a slow loop and against what is known of simple cases."""

from __future__ import annotations

import numpy as np
import pytest

from model.probes.evaluation.bootstrap import LEVEL, Interval, interval, weights

CLIPS = 120


def _slow(values, groups, draws, seed):
    rng, found = np.random.default_rng(seed), []
    members = [values[groups == group] for group in range(groups.max() + 1)]
    for _ in range(draws):
        drawn = rng.integers(0, len(members), len(members))
        found.append(np.concatenate([members[group] for group in drawn]).mean())
    return np.quantile(found, [0.025, 0.975])


def _values(seed=0, share=0.7):
    return (np.random.default_rng(seed).random(CLIPS) < share).astype(np.float64)


@pytest.mark.parametrize("groups", [np.arange(CLIPS), np.arange(CLIPS) // 6, np.arange(CLIPS) ** 2 // 1000])
def test_it_is_what_a_slow_loop_over_draws_finds(groups):
    groups = np.unique(groups, return_inverse=True)[1]
    found = interval(_values(), groups)
    low, high = _slow(_values(), groups, 4000, 1)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.012)


def test_groups_of_one_clip_give_the_width_of_a_binomial():
    values = _values()
    found = interval(values, np.arange(CLIPS))
    deviation = np.sqrt(values.mean() * (1 - values.mean()) / CLIPS)
    assert found.high - found.low == pytest.approx(2 * 1.96 * deviation, rel=0.1)
    assert found.low < values.mean() < found.high


def test_clips_that_agree_within_their_group_make_it_wider():
    values = np.repeat(_values()[:20], 6)
    by_clip, by_group = interval(values, np.arange(CLIPS)), interval(values, np.arange(CLIPS) // 6)
    assert by_group.high - by_group.low > 2 * (by_clip.high - by_clip.low)  # sqrt(6) is 2.4


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_values_that_are_all_alike_leave_no_doubt(value):
    assert interval(np.full(10, value), np.arange(10) // 2) == Interval(value, value)


def test_one_group_leaves_nothing_to_draw():
    found = interval(np.array([1.0, 0.0, 1.0, 1.0]), np.zeros(4, np.int64))
    assert found == Interval(0.75, 0.75)


def test_one_clip_is_its_own_interval():
    assert interval(np.array([1.0]), np.array([0])) == Interval(1.0, 1.0)


def test_the_seed_decides_the_draws():
    groups = np.arange(CLIPS) // 3
    assert interval(_values(), groups) == interval(_values(), groups, seed=0)
    assert interval(_values(), groups) != interval(_values(), groups, seed=1)


def test_a_difference_that_is_the_same_everywhere_is_certain_though_both_scores_are_not():
    first, groups = _values(), np.arange(CLIPS) // 6
    paired = interval(first - (first - 0.25), groups)
    assert (paired.low, paired.high) == pytest.approx((0.25, 0.25))
    assert interval(first, groups).high - interval(first, groups).low > 0.05


@pytest.mark.slow
def test_it_holds_the_truth_as_often_as_it_says():
    """400 made tests of 40 groups whose clips agree: the interval holds the true mean about 95 times in 100."""
    rng, held = np.random.default_rng(0), 0
    groups = np.arange(160) // 4
    for _ in range(400):
        rates = rng.beta(3, 2, size=40)  # mean 0.6
        values = (rng.random(160) < rates[groups]).astype(np.float64)
        found = interval(values, groups)
        held += found.low <= 0.6 <= found.high
    assert held / 400 == pytest.approx(LEVEL, abs=0.035)


def test_draws_do_not_depend_on_how_many_are_made_at_a_time():
    whole = next(weights(7, draws=50, seed=3, block=50))
    assert (whole.sum(1) == 7).all()
    for block in (1, 16, 49):
        np.testing.assert_array_equal(np.concatenate(list(weights(7, draws=50, seed=3, block=block))), whole)


def test_draws_of_many_groups_come_in_blocks_of_little_memory():
    """All weights of 10,000 draws of 5,000 groups at once would be 400 MB."""
    block = next(weights(5_000))
    assert block.nbytes < 10e6
    assert block.shape[1] == 5_000
    assert next(weights(3_000_000)).shape[0] == 1
