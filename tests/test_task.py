"""A task: only labelled clips of the three splits, whole groups, every class in its place."""

from __future__ import annotations

import numpy as np
import pytest
import tiny

from model.probes.task import Task, task_names
from stores.errors import InvalidInput

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
    assert task_names(features) == ["genre", "key"]
    assert task_names(tiny.features(np.zeros((1, 1)), [None], [""])) == []
