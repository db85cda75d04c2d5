"""Where the two windows of a clip start: as the public code has it, against its loop over clips."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from model.training.sampler import sample_view_starts


def _public(room, max_frame_distance, rng):
    """One clip as the public code draws it: any first start, then a step away from it, moved into the clip."""
    first = rng.randint(0, room - 1)
    return first, max(0, min(first + rng.randint(-max_frame_distance, max_frame_distance), room - 1))


@pytest.mark.parametrize("distance", [0, 1, 3, 50])
def test_pairs_are_distributed_as_in_the_public_code(distance):
    room, draws = 6, 60_000
    ours = sample_view_starts(np.full(draws, room), np.random.default_rng(0), distance)
    rng = random.Random(0)
    theirs = Counter(_public(room, distance, rng) for _ in range(draws))
    found = Counter(map(tuple, ours.T.tolist()))
    assert set(found) == set(theirs)
    for pair, count in theirs.items():
        assert abs(found[pair] - count) < 6 * (2 * count) ** 0.5  # both are counts of chance


def test_without_a_distance_both_starts_are_uniform_and_independent():
    room, draws = 3, 30_000
    found = Counter(map(tuple, sample_view_starts(np.full(draws, room), np.random.default_rng(0), None).T.tolist()))
    assert len(found) == 9
    assert all(abs(count - draws / 9) < 350 for count in found.values())  # standard deviation 54


@pytest.mark.parametrize("distance", [None, 0, 7, 1000])
def test_every_window_lies_in_its_clip_and_no_farther_from_the_other_than_allowed(distance):
    room = np.random.default_rng(0).integers(1, 300, 5000)
    first, second = sample_view_starts(room, np.random.default_rng(1), distance)
    assert (first >= 0).all()
    assert (second >= 0).all()
    assert (first < room).all()
    assert (second < room).all()
    if distance is not None:
        assert np.abs(first - second).max() <= distance


def test_a_clip_of_one_window_gives_it_twice_at_any_distance():
    for distance in (None, 0, 5):
        assert sample_view_starts(np.ones(4, np.int64), np.random.default_rng(0), distance).tolist() == [[0] * 4] * 2
