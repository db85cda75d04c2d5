"""View sampling: the starts of the two windows of a clip are distributed as in the public code."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from model.training.sampler import sample_view_starts


def _public_starts(n_starts, max_frame_distance, rng):
    """Sample the starts for one clip as the public code does: a uniform first start, and a second one near it."""
    first = rng.randint(0, n_starts - 1)
    return first, max(0, min(first + rng.randint(-max_frame_distance, max_frame_distance), n_starts - 1))


@pytest.mark.parametrize("distance", [0, 1, 3, 50])
def test_starts_are_distributed_as_in_the_public_code(distance):
    n_starts, samples = 6, 60_000
    starts = sample_view_starts(np.full(samples, n_starts), np.random.default_rng(0), distance)
    counts = Counter(map(tuple, starts.T.tolist()))
    rng = random.Random(0)
    expected = Counter(_public_starts(n_starts, distance, rng) for _ in range(samples))
    assert set(counts) == set(expected)
    for views, count in expected.items():
        assert abs(counts[views] - count) < 6 * (2 * count) ** 0.5  # both counts are random


def test_without_a_distance_both_starts_are_uniform_and_independent():
    n_starts, samples = 3, 30_000
    starts = sample_view_starts(np.full(samples, n_starts), np.random.default_rng(0), None)
    counts = Counter(map(tuple, starts.T.tolist()))
    assert len(counts) == 9
    assert all(abs(count - samples / 9) < 350 for count in counts.values())  # standard deviation 54


@pytest.mark.parametrize("distance", [None, 0, 7, 1000])
def test_windows_lie_in_their_clip_and_within_the_distance(distance):
    n_starts = np.random.default_rng(0).integers(1, 300, 5000)
    first, second = sample_view_starts(n_starts, np.random.default_rng(1), distance)
    assert (first >= 0).all()
    assert (second >= 0).all()
    assert (first < n_starts).all()
    assert (second < n_starts).all()
    if distance is not None:
        assert np.abs(first - second).max() <= distance


def test_a_clip_of_one_window_gives_this_window_twice():
    for distance in (None, 0, 5):
        assert sample_view_starts(np.ones(4, np.int64), np.random.default_rng(0), distance).tolist() == [[0] * 4] * 2
