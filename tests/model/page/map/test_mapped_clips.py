"""The clips of a map: an equal share of each split, chosen by the seed."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_map

from model.page.map.mapped_clips import MappedClips, choose
from stores.features import FeatureStore, Spans


@pytest.mark.parametrize(
    ("counts", "max_clips", "shares"),
    [
        ((10, 10, 10), 100, (10, 10, 10)),
        ((100, 100, 100), 30, (10, 10, 10)),
        ((100, 4, 100), 30, (13, 4, 13)),
        ((100, 4, 6), 30, (20, 4, 6)),
        ((100, 0, 1), 30, (29, 0, 1)),
        ((5, 5, 5), 2, (0, 1, 1)),
    ],
)
def test_the_unused_share_of_a_small_split_goes_to_the_larger_ones(counts, max_clips, shares):
    splits = [split for split, count in zip(synthetic_map.SPLITS, counts, strict=True) for _ in range(count)]
    chosen = choose(splits, max_clips)
    chosen_splits = [splits[i] for i in chosen]
    assert tuple(chosen_splits.count(split) for split in synthetic_map.SPLITS) == shares
    assert len(set(chosen)) == len(chosen)


def test_the_seed_decides_which_clips_are_chosen():
    splits = ["train"] * 50
    assert choose(splits, 10, 1).tolist() == choose(splits, 10, 1).tolist()
    assert choose(splits, 10, 1).tolist() != choose(splits, 10, 2).tolist()


def test_splits_are_in_order_and_clips_without_a_split_come_last():
    features, _ = synthetic_map.features_and_store(36)
    for row in features.rows[:3]:
        object.__setattr__(row, "split", "")
    clips = MappedClips.select(features)
    assert clips.splits == ("train", "valid", "test", "")
    assert clips.available == {"train": 15, "valid": 9, "test": 9, "": 3}
    assert [clips.shown(split) for split in clips.splits] == [15, 9, 9, 3]
    assert (np.diff(clips.panel) >= 0).all()


def test_several_embeddings_of_a_clip_are_averaged():
    features, _ = synthetic_map.features_and_store(12)
    embeddings = np.repeat(features.embeddings, 2, axis=0)
    embeddings[::2] += 3
    spans = Spans(np.repeat(np.arange(12), 2), np.zeros(24), np.ones(24, np.int64), np.zeros(24, bool))
    clips = MappedClips.select(FeatureStore(embeddings, [row for row in features.rows for _ in range(2)], {}, spans))
    means = features.embeddings + 1.5
    expected = means[[row.index for row in clips.rows]]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(clips.embeddings, expected, rtol=1e-5)
    assert len(clips.rows) == 12


def test_all_clips_lie_within_the_extent():
    clips = MappedClips.select(synthetic_map.features_and_store(36)[0])
    assert (np.abs(clips.coordinates) < np.array(clips.extent)).all()
