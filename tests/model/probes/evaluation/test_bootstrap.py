"""Confidence intervals by the bootstrap over groups, compared with a slow loop and with known results."""

from __future__ import annotations

import numpy as np
import pytest

from model.probes.evaluation.bootstrap import LEVEL, Interval, confidence_interval, replicate_weights

CLIPS = 120


def _slow_interval(values, groups, replicates, seed):
    rng, means = np.random.default_rng(seed), []
    members = [values[groups == group] for group in range(groups.max() + 1)]
    for _ in range(replicates):
        resampled = rng.integers(0, len(members), len(members))
        means.append(np.concatenate([members[group] for group in resampled]).mean())
    return np.quantile(means, [0.025, 0.975])


def _values(seed=0, share=0.7):
    return (np.random.default_rng(seed).random(CLIPS) < share).astype(np.float64)


@pytest.mark.parametrize("groups", [np.arange(CLIPS), np.arange(CLIPS) // 6, np.arange(CLIPS) ** 2 // 1000])
def test_interval_is_that_of_a_slow_loop_over_replicates(groups):
    groups = np.unique(groups, return_inverse=True)[1]
    interval = confidence_interval(_values(), groups)
    low, high = _slow_interval(_values(), groups, 4000, 1)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.012)


def test_groups_of_one_clip_give_the_width_of_a_binomial():
    values = _values()
    interval = confidence_interval(values, np.arange(CLIPS))
    deviation = np.sqrt(values.mean() * (1 - values.mean()) / CLIPS)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * deviation, rel=0.1)
    assert interval.low < values.mean() < interval.high


def test_equal_values_within_groups_widen_the_interval():
    values = np.repeat(_values()[:20], 6)
    by_clip = confidence_interval(values, np.arange(CLIPS))
    by_group = confidence_interval(values, np.arange(CLIPS) // 6)
    assert by_group.high - by_group.low > 2 * (by_clip.high - by_clip.low)  # sqrt(6) is 2.4


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_equal_values_give_an_interval_of_width_zero(value):
    assert confidence_interval(np.full(10, value), np.arange(10) // 2) == Interval(value, value)


def test_one_group_gives_an_interval_of_width_zero():
    interval = confidence_interval(np.array([1.0, 0.0, 1.0, 1.0]), np.zeros(4, np.int64))
    assert interval == Interval(0.75, 0.75)


def test_one_clip_gives_an_interval_of_width_zero():
    assert confidence_interval(np.array([1.0]), np.array([0])) == Interval(1.0, 1.0)


def test_the_seed_determines_the_replicates():
    groups = np.arange(CLIPS) // 3
    assert confidence_interval(_values(), groups) == confidence_interval(_values(), groups, seed=0)
    assert confidence_interval(_values(), groups) != confidence_interval(_values(), groups, seed=1)


def test_a_constant_difference_has_a_narrow_interval_although_both_scores_have_wide_ones():
    first, groups = _values(), np.arange(CLIPS) // 6
    paired = confidence_interval(first - (first - 0.25), groups)
    assert (paired.low, paired.high) == pytest.approx((0.25, 0.25))
    single = confidence_interval(first, groups)
    assert single.high - single.low > 0.05


@pytest.mark.slow
def test_interval_contains_the_true_mean_in_95_percent_of_cases():
    """400 synthetic tests of 40 groups with equal rates within a group."""
    rng, covered = np.random.default_rng(0), 0
    groups = np.arange(160) // 4
    for _ in range(400):
        rates = rng.beta(3, 2, size=40)  # mean 0.6
        values = (rng.random(160) < rates[groups]).astype(np.float64)
        interval = confidence_interval(values, groups)
        covered += interval.low <= 0.6 <= interval.high
    assert covered / 400 == pytest.approx(LEVEL, abs=0.035)


def test_replicates_do_not_depend_on_the_block_size():
    whole = next(replicate_weights(7, count=50, seed=3, block=50))
    assert (whole.sum(1) == 7).all()
    for block in (1, 16, 49):
        blocks = list(replicate_weights(7, count=50, seed=3, block=block))
        np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_replicates_of_many_groups_come_in_small_blocks():
    """The weights of 10,000 replicates of 5,000 groups would take 400 MB at once."""
    block = next(replicate_weights(5_000))
    assert block.nbytes < 10e6
    assert block.shape[1] == 5_000
    assert next(replicate_weights(3_000_000)).shape[0] == 1
