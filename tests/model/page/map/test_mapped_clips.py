"""Which clips a map shows: a fair share of each split, decided by the seed."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_map

from model.page.map.mapped_clips import MappedClips, choose
from stores.features import FeatureStore, Spans


@pytest.mark.parametrize(
    ("counts", "most", "shares"),
    [
        ((10, 10, 10), 100, (10, 10, 10)),
        ((100, 100, 100), 30, (10, 10, 10)),
        ((100, 4, 100), 30, (13, 4, 13)),
        ((100, 4, 6), 30, (20, 4, 6)),
        ((100, 0, 1), 30, (29, 0, 1)),
        ((5, 5, 5), 2, (0, 1, 1)),
    ],
)
def test_what_a_small_split_leaves_goes_to_the_larger_ones(counts, most, shares):
    splits = [split for split, count in zip(synthetic_map.SPLITS, counts, strict=True) for _ in range(count)]
    chosen = choose(splits, most)
    found = [splits[i] for i in chosen]
    assert tuple(found.count(split) for split in synthetic_map.SPLITS) == shares
    assert len(set(chosen)) == len(chosen)


def test_the_seed_decides_which():
    splits = ["train"] * 50
    assert choose(splits, 10, 1).tolist() == choose(splits, 10, 1).tolist()
    assert choose(splits, 10, 1).tolist() != choose(splits, 10, 2).tolist()


def test_splits_stand_in_the_order_of_their_use_and_what_has_none_comes_last():
    features, _ = synthetic_map.made(36)
    for row in features.rows[:3]:
        object.__setattr__(row, "split", "")
    clips = MappedClips.of(features)
    assert clips.splits == ("train", "valid", "test", "")
    assert clips.available == {"train": 15, "valid": 9, "test": 9, "": 3}
    assert [clips.shown(split) for split in clips.splits] == [15, 9, 9, 3]
    assert (np.diff(clips.panel) >= 0).all()


def test_a_clip_with_several_embeddings_is_their_mean():
    features, _ = synthetic_map.made(12)
    embeddings = np.repeat(features.embeddings, 2, axis=0)
    embeddings[::2] += 3
    spans = Spans(np.repeat(np.arange(12), 2), np.zeros(24), np.ones(24, np.int64), np.zeros(24, bool))
    clips = MappedClips.of(FeatureStore(embeddings, [row for row in features.rows for _ in range(2)], {}, spans))
    means = features.embeddings + 1.5
    wanted = means[[row.index for row in clips.rows]]
    np.testing.assert_allclose(clips.embeddings, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), rtol=1e-5)
    assert len(clips.rows) == 12


def test_all_places_are_within_reach():
    clips = MappedClips.of(synthetic_map.made(36)[0])
    assert (np.abs(clips.places) < np.array(clips.reach)).all()
