"""Tasks: labeled clips of the three splits, whole groups, and targets of every kind."""

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


def test_clips_are_selected_by_label_and_split_in_their_order():
    task = _task()
    assert (task.name, task.classes) == ("key", ("a", "b", "c"))
    assert {split: clips.features[:, 0].tolist() for split, clips in task.splits.items()} == {
        "train": [0, 2],
        "valid": [4],
        "test": [6, 8],
    }
    assert {split: clips.targets.tolist() for split, clips in task.splits.items()} == {
        "train": [1, 0],
        "valid": [0],
        "test": [2, 1],
    }


def test_a_class_without_training_clips_is_among_the_classes():
    assert "c" in _task().classes


def test_problems_of_the_labels_are_noted():
    assert _task().notes() == [
        "1 of 3 classes of key have no training clip and are never predicted, e.g. 'c'",
    ]
    years = [str(1900 + year) for year in range(8)]
    table = tiny.features(np.eye(24), 3 * years, [split for split in ("train", "valid", "test") for _ in years])
    assert Task.of(table, "key").notes() == ["the labels of key are numbers; they are used as 8 classes"]
    assert Task.of(tiny.separable(), "key").notes() == []


def test_groups_are_numbered_from_0_within_each_split():
    task = _task(groups=["x", "y", "v", "t", "t", "x", "?", "u"])
    assert task.splits["train"].groups.tolist() == [0, 1]
    assert task.splits["test"].groups.tolist() == [0, 0]
    assert task.splits["test"].groups.dtype == np.int64


def test_a_group_in_two_splits_is_an_error_that_names_it():
    with pytest.raises(
        InvalidInput, match="group 'piece' has clips in train and in test; all clips of a group must be in one split"
    ):
        _task(groups=["piece", "y", "v", "piece", "t", "x", "?", "u"])


def test_a_group_may_be_in_a_split_and_among_clips_outside_the_task():
    _task(groups=["piece", "y", "v", "t", "u", "x", "piece", "piece"])  # no split, and no label


@pytest.mark.parametrize("missing", ["train", "valid", "test"])
def test_a_split_without_labeled_clips_is_an_error_that_states_all_counts(missing):
    splits = ["" if split == missing else split for split in SPLITS]
    with pytest.raises(InvalidInput, match=rf"task 'key' has .*'{missing}': 0.* a probe needs some in each split"):
        _task(splits=splits)


def test_a_label_that_no_clip_has_is_an_error():
    with pytest.raises(InvalidInput, match=r"\{'train': 0, 'valid': 0, 'test': 0\} labeled clips"):
        _task(task="genre")


def test_a_single_training_class_is_an_error_that_names_it():
    with pytest.raises(InvalidInput, match=r"all training clips of task 'key' have the label \['b'\]; two are needed"):
        _task(labels=["b", "b", "a", "c", "b", None, "a", None])


def test_task_names_are_all_labels_of_the_clips():
    features = tiny.features(np.zeros((2, 1)), ["a", "b"], ["train", "test"])
    features.rows[0].labels["genre"] = "chorale"
    assert task_names(features.rows) == ["genre", "key"]
    assert task_names(tiny.features(np.zeros((1, 1)), [None], [""]).rows) == []


def test_fewer_training_groups_are_whole_groups_and_valid_and_test_stay():
    splits, labels = ["train"] * 8 + ["valid", "test"], ["a", "b"] * 5
    task = _task(labels, splits, groups=["p", "p", "q", "q", "r", "r", "s", "s", "v", "t"])
    fewer = task.with_train_groups(2, seed=1)
    train = fewer.splits["train"]
    assert len(set(train.groups.tolist())) == 2
    assert len(train.targets) == len(train.features) == 4
    assert (fewer.splits["valid"], fewer.splits["test"]) == (task.splits["valid"], task.splits["test"])
    assert np.array_equal(train.features, task.with_train_groups(2, seed=1).splits["train"].features)


@pytest.mark.parametrize("count", [0, 3])
def test_too_many_or_zero_training_groups_are_an_error(count):
    with pytest.raises(InvalidInput, match=rf"--train-groups must be 1 to 2, .* of task 'key' \(got {count}\)"):
        _task().with_train_groups(count)


def test_training_groups_of_a_single_class_are_an_error():
    with pytest.raises(InvalidInput, match="have the label"):
        _task().with_train_groups(1)


def _labeled(labels, splits=None, **changed):
    """Return features of clips with these labels, by default alternating between train, valid and test."""
    splits = splits or [("train", "valid", "test")[i % 3] for i in range(len(labels))]
    rows = [
        ClipRow(i, f"c{i}", changed.get("source", f"{i}.wav"), f"g{i}", splits[i], clip_labels, state="written")
        for i, clip_labels in enumerate(labels)
    ]
    return FeatureStore(np.zeros((len(rows), 2), np.float32), rows, {"digest": "d"})


def test_tags_are_sorted_columns_and_clips_without_tags_count():
    task = Task.of(_labeled([{"tags": tags} for tags in ("b|a", "c", "", "", "a", "b")]), "tags")
    assert (task.kind, task.classes) == ("tags", ("a", "b", "c"))
    assert task.splits["train"].targets.tolist() == [[1, 1, 0], [0, 0, 0]]
    assert task.splits["test"].targets.tolist() == [[0, 0, 0], [0, 1, 0]]
    assert task.target_matrix("test").tolist() == task.splits["test"].targets.tolist()


def test_a_task_without_any_tag_is_an_error():
    with pytest.raises(InvalidInput, match="no clip of task 'tags' has a tag"):
        Task.of(_labeled([{"tags": ""}] * 3), "tags")


def test_emotion_needs_both_numbers_of_a_clip():
    labels = [{"arousal": str(i), "valence": str(-i / 2)} for i in range(6)]
    store = _labeled([*labels, {"arousal": "1"}])
    assert task_names(store.rows) == ["emotion"]
    task = Task.of(store, "emotion")
    assert (task.kind, task.classes) == ("numbers", ("arousal", "valence"))
    assert task.splits["train"].targets.tolist() == [[0, 0], [3, -1.5]]


@pytest.mark.parametrize("wrong", ["much", "inf", "1,5"])
def test_a_label_that_is_not_a_finite_number_is_an_error_that_names_it(wrong):
    labels = [{"arousal": "1", "valence": "0"} for _ in range(3)]
    labels[2]["valence"] = wrong
    with pytest.raises(InvalidInput, match=f"clip 'c2' has valence '{wrong}'; a finite number is needed"):
        Task.of(_labeled(labels), "emotion")


def test_a_task_is_of_kind_key_only_if_all_labels_are_keys():
    labels = [{"key": key} for key in ("C major", "F# minor", "A minor", "C major")]
    splits = ["train", "train", "valid", "test"]
    assert Task.of(_labeled(labels, splits), "key").kind == "key"
    assert Task.of(_labeled([*labels[:3], {"key": "atonal"}], splits), "key").kind == "classes"
    genres = [{"genre": label["key"]} for label in labels]
    assert Task.of(_labeled(genres, splits), "genre").kind == "classes"


def test_the_spellings_of_one_key_are_one_class():
    labels = [{"key": key} for key in ("C# minor", "12A", "Db min", "8B", "c#m", "C major")]
    task = Task.of(_labeled(labels, ["train", "train", "valid", "train", "test", "test"]), "key")
    assert (task.kind, task.classes) == ("key", ("12A", "8B"))
    assert task.splits["train"].targets.tolist() == [0, 0, 1]
    assert task.splits["test"].targets.tolist() == [0, 1]


def test_a_choice_between_keys_is_no_label_and_is_counted():
    labels = [{"key": key} for key in ("8A", "9A", "8A or 9A", "8A", "9A")]
    task = Task.of(_labeled(labels, ["train", "train", "train", "valid", "test"]), "key")
    assert (task.kind, task.classes, task.without_value) == ("key", ("8A", "9A"), 1)
    assert "or a choice between keys" in task.notes()[0]


def test_clips_of_one_recording_are_a_song_and_need_one_key():
    labels = [{"key": "C major"}, {"key": "D major"}, {"key": "C major"}, {"key": "E major"}, {"key": "E major"}]
    splits = ["train", "train", "valid", "test", "test"]
    separate = _labeled(labels, splits)
    assert Task.of(separate, "key").splits["test"].songs is None
    rows = [replace(row, source=row.split) if row.split == "test" else row for row in separate.rows]
    joined = FeatureStore(separate.embeddings, [replace(row, group=row.split + row.id[-1]) for row in rows], {})
    assert Task.of(joined, "key").splits["test"].songs.tolist() == [0, 0]
    rows[3] = replace(rows[3], labels={"key": "F major"})
    with pytest.raises(InvalidInput, match="clips of test have the keys F major and E major"):
        Task.of(FeatureStore(separate.embeddings, rows, {}), "key")


@pytest.mark.parametrize("word", ["nan", "NaN", "none", "Null", "n/a", " ", ""])
def test_a_word_for_no_value_is_no_label_and_is_counted(word):
    splits = ["train", "train", "valid", "test", "train"]
    labels = [{"genre": name} for name in ("a", "b", "a", "b", word)]
    task = Task.of(_labeled(labels, splits), "genre")
    assert task.classes == ("a", "b")
    assert task.without_value == 1
    assert "1 clip of genre left out" in task.notes()[0]
    assert task_names(_labeled([{"genre": word}]).rows) == []


def test_an_empty_list_of_tags_is_a_label_and_a_word_for_no_value_is_no_tag():
    labels = [{"tags": tags} for tags in ("slow|nan", "", "slow", "fast", "nan")]
    task = Task.of(_labeled(labels, ["train", "valid", "test", "train", "train"]), "tags")
    assert task.classes == ("fast", "slow")
    assert task.without_value == 1
    assert task.splits["valid"].targets.tolist() == [[0, 0]]
