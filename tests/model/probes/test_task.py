"""A task: only labelled clips of the three splits, whole groups, every class in its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny

from model.probes.task import Task, task_names
from stores.errors import InvalidInput
from stores.features import FeatureStore
from stores.manifest import ClipRow

SPLITS = ["train", "train", "valid", "test", "test", "train", "", "test"]
LABELS = ["b", "a", "a", "c", "b", None, "a", None]


def _task(labels=LABELS, splits=SPLITS, groups=None, task="key"):
    embeddings = np.arange(2 * len(labels)).reshape(-1, 2)
    return Task.of(tiny.features(embeddings, labels, splits, groups, task=task), "key")


def test_clips_are_chosen_by_label_and_split_in_their_order():
    task = _task()
    assert (task.name, task.classes) == ("key", ("a", "b", "c"))
    assert {split: part.features[:, 0].tolist() for split, part in task.splits.items()} == {
        "train": [0, 2],
        "valid": [4],
        "test": [6, 8],
    }
    assert {split: part.targets.tolist() for split, part in task.splits.items()} == {
        "train": [1, 0],
        "valid": [0],
        "test": [2, 1],
    }


def test_a_class_that_train_lacks_counts_among_the_classes():
    assert "c" in _task().classes


def test_what_makes_scores_mean_less_is_remarked():
    assert _task().remarks() == [
        "1 of 3 classes of key are in no training clip, e.g. 'c': they can only be missed",
    ]
    years = [str(1900 + year) for year in range(8)]
    table = tiny.features(np.eye(24), 3 * years, [split for split in ("train", "valid", "test") for _ in years])
    assert Task.of(table, "key").remarks() == ["labels of key are numbers, and taken as 8 classes"]
    assert Task.of(tiny.separable(), "key").remarks() == []


def test_groups_are_numbered_from_0_within_each_split():
    task = _task(groups=["x", "y", "v", "t", "t", "x", "?", "u"])
    assert task.splits["train"].groups.tolist() == [0, 1]
    assert task.splits["test"].groups.tolist() == [0, 0]
    assert task.splits["test"].groups.dtype == np.int64


def test_a_group_in_two_splits_is_refused_and_named():
    with pytest.raises(InvalidInput, match="group 'piece' stands in train and in test: test clips would leak"):
        _task(groups=["piece", "y", "v", "piece", "t", "x", "?", "u"])


def test_a_group_may_stand_in_a_split_and_among_clips_that_are_not_probed():
    _task(groups=["piece", "y", "v", "t", "u", "x", "piece", "piece"])  # no split, and no label


@pytest.mark.parametrize("missing", ["train", "valid", "test"])
def test_a_split_without_labelled_clips_is_refused_with_all_counts(missing):
    splits = ["" if split == missing else split for split in SPLITS]
    with pytest.raises(InvalidInput, match=rf"task 'key' has .*'{missing}': 0.* a probe needs some in each split"):
        _task(splits=splits)


def test_a_label_that_nobody_carries_is_refused():
    with pytest.raises(InvalidInput, match=r"\{'train': 0, 'valid': 0, 'test': 0\} labelled clips"):
        _task(task="genre")


def test_one_class_in_train_is_refused_and_named():
    with pytest.raises(InvalidInput, match=r"all training clips of task 'key' carry the label \['b'\]; two are needed"):
        _task(labels=["b", "b", "a", "c", "b", None, "a", None])


def test_task_names_are_all_labels_that_clips_carry():
    features = tiny.features(np.zeros((2, 1)), ["a", "b"], ["train", "test"])
    features.rows[0].labels["genre"] = "chorale"
    assert task_names(features.rows) == ["genre", "key"]
    assert task_names(tiny.features(np.zeros((1, 1)), [None], [""]).rows) == []


def test_fewer_training_groups_keep_whole_groups_and_leave_valid_and_test_alone():
    splits, labels = ["train"] * 8 + ["valid", "test"], ["a", "b"] * 5
    task = _task(labels, splits, groups=["p", "p", "q", "q", "r", "r", "s", "s", "v", "t"])
    fewer = task.with_train_groups(2, seed=1)
    kept = fewer.splits["train"]
    assert len(set(kept.groups.tolist())) == 2
    assert len(kept.targets) == len(kept.features) == 4
    assert (fewer.splits["valid"], fewer.splits["test"]) == (task.splits["valid"], task.splits["test"])
    assert np.array_equal(kept.features, task.with_train_groups(2, seed=1).splits["train"].features)


@pytest.mark.parametrize("count", [0, 3])
def test_more_training_groups_than_there_are_or_none_are_refused(count):
    with pytest.raises(InvalidInput, match=f"{count} training groups were asked for; task 'key' has 1 to 2"):
        _task().with_train_groups(count)


def test_training_groups_of_one_class_only_are_refused():
    with pytest.raises(InvalidInput, match="carry the label"):
        _task().with_train_groups(1)


def _labelled(labels, splits=None, **changed):
    """A store of clips with these labels each, the third of every three in test."""
    splits = splits or [("train", "valid", "test")[i % 3] for i in range(len(labels))]
    rows = [
        ClipRow(i, f"c{i}", changed.get("source", f"{i}.wav"), f"g{i}", splits[i], one, state="written")
        for i, one in enumerate(labels)
    ]
    return FeatureStore(np.zeros((len(rows), 2), np.float32), rows, {"digest": "d"})


def test_tags_are_columns_in_order_and_clips_without_any_count():
    task = Task.of(_labelled([{"tags": one} for one in ("b|a", "c", "", "", "a", "b")]), "tags")
    assert (task.kind, task.classes) == ("tags", ("a", "b", "c"))
    assert task.splits["train"].targets.tolist() == [[1, 1, 0], [0, 0, 0]]
    assert task.splits["test"].targets.tolist() == [[0, 0, 0], [0, 1, 0]]
    assert task.matrix("test").tolist() == task.splits["test"].targets.tolist()


def test_tags_that_nobody_carries_are_refused():
    with pytest.raises(InvalidInput, match="no clip of task 'tags' carries a tag"):
        Task.of(_labelled([{"tags": ""}] * 3), "tags")


def test_emotion_is_two_numbers_and_a_clip_needs_both():
    labels = [{"arousal": str(i), "valence": str(-i / 2)} for i in range(6)]
    store = _labelled([*labels, {"arousal": "1"}])
    assert task_names(store.rows) == ["emotion"]
    task = Task.of(store, "emotion")
    assert (task.kind, task.classes) == ("numbers", ("arousal", "valence"))
    assert task.splits["train"].targets.tolist() == [[0, 0], [3, -1.5]]


@pytest.mark.parametrize("wrong", ["much", "nan", "inf", ""])
def test_a_number_that_is_none_is_refused_and_named(wrong):
    labels = [{"arousal": "1", "valence": "0"} for _ in range(3)]
    labels[2]["valence"] = wrong
    with pytest.raises(InvalidInput, match=f"clip 'c2' has valence '{wrong}'; a finite number is needed"):
        Task.of(_labelled(labels), "emotion")


def test_keys_are_keys_if_all_of_them_are():
    labels = [{"key": one} for one in ("C major", "F# minor", "A minor", "C major")]
    splits = ["train", "train", "valid", "test"]
    assert Task.of(_labelled(labels, splits), "key").kind == "key"
    assert Task.of(_labelled([*labels[:3], {"key": "none"}], splits), "key").kind == "classes"
    genres = [{"genre": one["key"]} for one in labels]
    assert Task.of(_labelled(genres, splits), "genre").kind == "classes"


def test_clips_of_one_recording_are_a_song_of_one_key():
    labels = [{"key": "C major"}, {"key": "D major"}, {"key": "C major"}, {"key": "E major"}, {"key": "E major"}]
    splits = ["train", "train", "valid", "test", "test"]
    plain = _labelled(labels, splits)
    assert Task.of(plain, "key").splits["test"].songs is None
    rows = [replace(row, source=row.split) if row.split == "test" else row for row in plain.rows]
    joined = FeatureStore(plain.embeddings, [replace(row, group=row.split + row.id[-1]) for row in rows], {})
    assert Task.of(joined, "key").splits["test"].songs.tolist() == [0, 0]
    rows[3] = replace(rows[3], labels={"key": "F major"})
    with pytest.raises(InvalidInput, match="clips of test have the keys F major and E major"):
        Task.of(FeatureStore(plain.embeddings, rows, {}), "key")
