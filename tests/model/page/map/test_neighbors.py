"""Neighbors on the map: the nearest clips of other pieces by cosine, compared with a brute-force search."""

from __future__ import annotations

import numpy as np
import synthetic_map

from model.page.map.layout import unit_length
from model.page.map.neighbors import Neighbors

EMBEDDINGS = unit_length(synthetic_map.embeddings(30))
GROUPS = [f"{i // 3}" for i in range(30)]


def test_neighbors_are_the_nearest_clips_of_other_groups():
    neighbors = Neighbors.compute(EMBEDDINGS, GROUPS)
    for clip, near in enumerate(neighbors.clips):
        cosines = {i: float(np.dot(EMBEDDINGS[clip], EMBEDDINGS[i])) for i in range(30) if GROUPS[i] != GROUPS[clip]}
        expected = sorted(cosines, key=cosines.get, reverse=True)[:5]
        np.testing.assert_allclose(neighbors.cosines[clip], [cosines[i] for i in expected], atol=1e-5)
        assert set(near) == set(expected)


def test_nearest_clips_of_the_same_group_are_counted():
    neighbors = Neighbors.compute(EMBEDDINGS, GROUPS)
    for clip in range(30):
        others = sorted((i for i in range(30) if i != clip), key=lambda i: -float(EMBEDDINGS[clip] @ EMBEDDINGS[i]))
        assert neighbors.same_group[clip] == sum(GROUPS[i] == GROUPS[clip] for i in others[:5])
    assert max(neighbors.same_group) == 2  # pieces have three clips


def test_clips_without_a_group_are_each_a_group_of_their_own():
    neighbors = Neighbors.compute(EMBEDDINGS, [""] * 30)
    assert set(neighbors.same_group) == {0}
    assert all(len(near) == 5 and clip not in near for clip, near in enumerate(neighbors.clips))


def test_few_other_clips_give_few_neighbors():
    neighbors = Neighbors.compute(EMBEDDINGS[:4], ["a", "a", "a", "b"])
    assert [len(near) for near in neighbors.clips] == [1, 1, 1, 3]
    assert Neighbors.compute(EMBEDDINGS[:1], ["a"]).clips == ((),)


def test_equally_near_clips_keep_their_order():
    same = unit_length(np.ones((4, 2), np.float32))
    assert Neighbors.compute(same, list("abcd")).clips[3] == (0, 1, 2)
