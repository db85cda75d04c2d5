"""Scores of the labels of small collections: groups are never on both sides, and rare labels are left out."""

from __future__ import annotations

import numpy as np
import pytest

from model.probes import label_scores
from stores.manifest import ClipRow


def _rows(labels, splits=None):
    return [
        ClipRow(i, f"{i}", f"{i}.wav", f"{i}", splits[i] if splits else "", {"mood": label} if label else {})
        for i, label in enumerate(labels)
    ]


@pytest.fixture
def collection():
    """Return 60 clips of two moods in 20 albums, with features that tell the mood and features that tell the album."""
    albums = np.arange(60) // 3
    moods = ["calm" if album % 2 else "loud" for album in albums]
    rng = np.random.default_rng(0)
    telling = np.array([[mood == "calm"] for mood in moods]) + 0.1 * rng.normal(size=(60, 4))
    of_album = np.eye(20)[albums] + 0.01 * rng.normal(size=(60, 20))
    features = {"encoder": telling.astype(np.float32), "spectrogram": of_album.astype(np.float32)}
    return _rows(moods), [f"album {album}" for album in albums], features


def test_every_clip_is_tested_once_and_never_with_its_album_in_training(collection):
    rows, groups, _ = collection
    ((task,), reasons) = label_scores.label_tasks(rows, groups)
    assert reasons == {}
    assert task.is_cross_validated
    assert np.array_equal(np.sum(task.tested, axis=0), np.ones(60))
    for tested in task.tested:
        assert not {*task.groups[tested]} & {*task.groups[~tested]}


def test_features_that_tell_the_label_are_significantly_better_than_those_of_the_album(collection):
    rows, groups, features = collection
    ((task,), _) = label_scores.label_tasks(rows, groups)
    result = label_scores.score(task, features)
    assert result.accuracy["encoder"][0] == 1
    assert result.accuracy["spectrogram"][0] < 0.7
    assert result.differences["spectrogram"].low > 0
    assert result.differences["majority"].low > 0
    assert (result.tested_clips, result.majority) == (60, 0.5)


def test_classes_with_few_clips_or_albums_are_left_out_and_named():
    rows = _rows(["calm"] * 10 + ["loud"] * 10 + ["odd"] * 4 + ["one album"] * 6 + [None] * 5)
    groups = [f"{i}" if i < 24 else "album" for i in range(35)]
    ((task,), _) = label_scores.label_tasks(rows, groups)
    assert task.classes == ("calm", "loud")
    assert task.left_out == {"odd": 4, "one album": 6}


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["calm"] * 20 + ["loud"] * 4, "has fewer than two values with at least 5 clips in 5 groups"),
        ([f"title {i}" for i in range(150)], "has 150 different values"),
    ],
)
def test_labels_that_cannot_be_scored_have_a_reason(labels, reason):
    tasks, reasons = label_scores.label_tasks(_rows(labels), [f"{i}" for i in range(len(labels))])
    assert (tasks, reasons) == ([], {"mood": reason})


def test_large_collections_are_tested_on_their_test_split():
    splits = ["train", "valid", "test", "train"] * 60
    rows = _rows(["calm", "loud"] * 120, splits)
    ((task,), _) = label_scores.label_tasks(rows, [f"{i}" for i in range(240)])
    assert not task.is_cross_validated
    assert [rows[i].split == "test" for i in task.clips] == task.tested[0].tolist()
