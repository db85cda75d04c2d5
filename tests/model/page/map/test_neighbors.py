"""Neighbours on the map: those of a brute force by cosine, of other pieces."""

from __future__ import annotations

import numpy as np
import synthetic_map

from model.page.map.layout import unit_length
from model.page.map.neighbors import Neighbors

EMBEDDINGS = unit_length(synthetic_map.embeddings(30))
GROUPS = [f"{i // 3}" for i in range(30)]


def test_they_are_those_of_a_brute_force_and_of_other_groups():
    found = Neighbors.of(EMBEDDINGS, GROUPS)
    for clip, near in enumerate(found.clips):
        cosines = {i: float(np.dot(EMBEDDINGS[clip], EMBEDDINGS[i])) for i in range(30) if GROUPS[i] != GROUPS[clip]}
        wanted = sorted(cosines, key=cosines.get, reverse=True)[:5]
        np.testing.assert_allclose(found.cosines[clip], [cosines[i] for i in wanted], atol=1e-5)
        assert set(near) == set(wanted)


def test_how_many_of_the_very_nearest_are_of_the_same_group_is_counted():
    found = Neighbors.of(EMBEDDINGS, GROUPS)
    for clip in range(30):
        others = sorted((i for i in range(30) if i != clip), key=lambda i: -float(EMBEDDINGS[clip] @ EMBEDDINGS[i]))
        assert found.same_group[clip] == sum(GROUPS[i] == GROUPS[clip] for i in others[:5])
    assert max(found.same_group) == 2  # pieces have three clips


def test_clips_without_a_group_are_of_no_others():
    found = Neighbors.of(EMBEDDINGS, [""] * 30)
    assert set(found.same_group) == {0}
    assert all(len(near) == 5 and clip not in near for clip, near in enumerate(found.clips))


def test_where_there_are_few_others_there_are_few_neighbours():
    found = Neighbors.of(EMBEDDINGS[:4], ["a", "a", "a", "b"])
    assert [len(near) for near in found.clips] == [1, 1, 1, 3]
    assert Neighbors.of(EMBEDDINGS[:1], ["a"]).clips == ((),)


def test_of_equals_the_first_comes_first():
    same = unit_length(np.ones((4, 2), np.float32))
    assert Neighbors.of(same, list("abcd")).clips[3] == (0, 1, 2)
