"""A task: the clips of a feature store that carry one label, by split."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stores.errors import InvalidInput
from stores.features import FeatureStore

SPLITS = ("train", "valid", "test")
NOT_CLASSES = {"tags": "several tags a clip", "arousal": "a number", "valence": "a number"}
"""Labels that are not one class of several; probes for them are not built yet."""


@dataclass(frozen=True)
class TaskSplit:
    """The labelled clips of one split."""

    features: NDArray[np.float32]
    """`[clips, D]`."""
    targets: NDArray[np.int64]
    """Class of each clip, an index into the task's `classes`."""
    groups: NDArray[np.int64]
    """Piece, song or artist of each clip, numbered from 0: what the bootstrap draws."""


@dataclass(frozen=True)
class Task:
    """One classification task on one representation."""

    name: str
    """E.g. `key`."""
    classes: tuple[str, ...]
    """All labels, sorted, in the order of their index; one that train lacks can only be missed."""
    splits: dict[str, TaskSplit]
    """train, valid and test."""

    @classmethod
    def of(cls, features: FeatureStore, name: str) -> Task:
        """Select the clips that carry label `name`.

        Raises:
            InvalidInput: labels that are not classes, a split has no such clip, a group stands in two splits, or train
                has fewer than two classes.
        """
        if name in NOT_CLASSES:
            raise InvalidInput(f"task {name!r} has {NOT_CLASSES[name]} as its label; a probe for that is not built yet")
        chosen = [i for i, row in enumerate(features.rows) if name in row.labels and row.split in SPLITS]
        _require_splits(name, [features.rows[i].split for i in chosen])
        _require_whole_groups([(features.rows[i].group, features.rows[i].split) for i in chosen])
        labels = {i: features.rows[i].labels[name] for i in chosen}
        _require_two_classes(name, {labels[i] for i in chosen if features.rows[i].split == "train"})
        classes = tuple(sorted(set(labels.values())))
        splits = {}
        for split in SPLITS:
            rows = [i for i in chosen if features.rows[i].split == split]
            targets = np.array([classes.index(labels[i]) for i in rows], np.int64)
            _, groups = np.unique([features.rows[i].group for i in rows], return_inverse=True)
            splits[split] = TaskSplit(features.embeddings[rows], targets, groups.astype(np.int64))
        return cls(name, classes, splits)

    def with_train_groups(self, count: int, seed: int = 0) -> Task:
        """The same task with labels for only `count` of its training groups, drawn by `seed`; the rest is untouched.

        Raises:
            InvalidInput: if there are not as many, or those drawn hold fewer than two classes.
        """
        train = self.splits["train"]
        groups = np.unique(train.groups)
        if not 1 <= count <= len(groups):
            raise InvalidInput(f"{count} training groups were asked for; task {self.name!r} has 1 to {len(groups)}")
        kept = np.isin(train.groups, np.random.default_rng(seed).permutation(groups)[:count])
        _require_two_classes(self.name, {self.classes[target] for target in train.targets[kept]})
        fewer = TaskSplit(train.features[kept], train.targets[kept], train.groups[kept])
        return replace(self, splits={**self.splits, "train": fewer})


def task_names(features: FeatureStore) -> list[str]:
    """Names of all labels that clips carry and that can be probed, sorted."""
    return sorted({name for row in features.rows for name in row.labels} - set(NOT_CLASSES))


def _require_splits(name: str, splits: list[str]) -> None:
    counts = {split: splits.count(split) for split in SPLITS}
    if not all(counts.values()):
        raise InvalidInput(f"task {name!r} has {counts} labelled clips; a probe needs some in each split")


def _require_whole_groups(pairs: list[tuple[str, str]]) -> None:
    split_of: dict[str, str] = {}
    for group, split in pairs:
        if split_of.setdefault(group, split) != split:
            raise InvalidInput(f"group {group!r} stands in {split_of[group]} and in {split}: test clips would leak")


def _require_two_classes(name: str, trained: set[str]) -> None:
    if len(trained) < 2:
        raise InvalidInput(f"all training clips of task {name!r} carry the label {sorted(trained)}; two are needed")
