"""A task: the clips of a feature store that carry one label, by split, and what their labels mean.

classes  one of several: accuracy
key      the same, and every class is a key such as `Eb minor`: mir_eval's weighted score, of songs by a vote of clips
tags     any number of several (the label `tags`): ROC-AUC and average precision
numbers  arousal and valence, two labels that make the task `emotion`: R^2
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.probes import musical_keys
from stores.errors import InvalidInput
from stores.features import FeatureStore
from stores.labels import split_tags
from stores.manifest import ClipRow

SPLITS = ("train", "valid", "test")
TAGS = "tags"
NUMBERS = {"emotion": ("arousal", "valence")}
"""Tasks that are made of several labels, numbers each."""
_FEW = 5  # classes that may well be called 1, 2, 3


@dataclass(frozen=True)
class TaskSplit:
    """The labelled clips of one split."""

    features: NDArray[np.float32]
    """`[clips, D]`."""
    targets: NDArray[Any]
    """int64 `[clips]`, indices into the task's `classes`; for tags (0 or 1) and numbers float32 `[clips, C]`."""
    groups: NDArray[np.int64]
    """Piece, song or artist of each clip, numbered from 0: what the bootstrap draws."""
    songs: NDArray[np.int64] | None = None
    """Recording of each clip, numbered from 0, where recordings have several clips and are scored as one; else None."""

    def chosen(self, clips: NDArray[Any]) -> TaskSplit:
        """Some of the clips, by mask or index `[clips]`; `groups` and `songs` keep their numbers."""
        songs = None if self.songs is None else self.songs[clips]
        return TaskSplit(self.features[clips], self.targets[clips], self.groups[clips], songs)


@dataclass(frozen=True)
class Task:
    """One task on one representation."""

    name: str
    """E.g. `key`."""
    classes: tuple[str, ...]
    """All classes or tags, sorted, in the order of their index; one that train lacks can only be missed. The names of
    the numbers for those."""
    splits: dict[str, TaskSplit]
    """train, valid and test."""
    kind: str = "classes"
    """`classes`, `key`, `tags` or `numbers`."""

    @classmethod
    def of(cls, features: FeatureStore, name: str) -> Task:
        """Select the clips that carry label `name`, or all labels that `name` is made of.

        Raises:
            InvalidInput: a split has no such clip, a group stands in two splits, train has fewer than two classes, a
                number is none, or clips of one recording differ in key.
        """
        labels = labels_of(name)
        chosen = [i for i, row in enumerate(features.rows) if row.split in SPLITS and set(labels) <= set(row.labels)]
        rows = [features.rows[i] for i in chosen]
        _require_splits(name, [row.split for row in rows])
        _require_whole_groups([(row.group, row.split) for row in rows])
        kind, classes, targets = _targets(name, rows)
        splits = {}
        for split in SPLITS:
            of_split = [k for k, row in enumerate(rows) if row.split == split]
            clips = [rows[k] for k in of_split]
            songs = _songs(clips) if kind == "key" else None
            embeddings = features.embeddings[[chosen[k] for k in of_split]]
            splits[split] = TaskSplit(embeddings, targets[of_split], _numbered([row.group for row in clips]), songs)
        return cls(name, classes, splits, kind)

    def remarks(self) -> list[str]:
        """What makes its scores mean less than they seem to: classes that train lacks, numbers taken as classes."""
        if self.kind not in ("classes", "key"):
            return []
        unseen = sorted(set(range(len(self.classes))) - set(self.splits["train"].targets.tolist()))
        remarks = []
        if unseen:
            named = f"{len(unseen)} of {len(self.classes)} classes of {self.name}"
            remarks.append(
                f"{named} are in no training clip, e.g. {self.classes[unseen[0]]!r}: they can only be missed"
            )
        if len(self.classes) > _FEW and all(_is_number(label) for label in self.classes):
            remarks.append(f"labels of {self.name} are numbers, and taken as {len(self.classes)} classes")
        return remarks

    def with_train(self, clips: NDArray[Any]) -> Task:
        """The same task with only these of its training clips, by mask or index `[clips]`."""
        return replace(self, splits={**self.splits, "train": self.splits["train"].chosen(clips)})

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
        return self.with_train(kept)

    def with_features(self, columns: slice) -> Task:
        """The same task on some of the features."""
        parts = {split: replace(part, features=part.features[:, columns]) for split, part in self.splits.items()}
        return replace(self, splits=parts)

    def matrix(self, split: str) -> NDArray[np.float32]:
        """Targets of a split as a probe learns them, float32 `[clips, C]`: one-hot for classes."""
        targets: NDArray[np.float32] = self.splits[split].targets
        if targets.ndim == 2:
            targets = targets.astype(np.float32)
        else:
            targets = np.eye(len(self.classes), dtype=np.float32)[targets]
        return targets


def labels_of(task: str) -> tuple[str, ...]:
    """The labels that a clip of `task` carries."""
    return NUMBERS.get(task, (task,))


def task_names(rows: Iterable[ClipRow]) -> list[str]:
    """Names of all tasks that some clip carries all labels of, sorted."""
    carried = {name for row in rows for name in row.labels}
    numbers = {part for parts in NUMBERS.values() for part in parts}
    return sorted((carried - numbers) | {name for name, parts in NUMBERS.items() if set(parts) <= carried})


def _targets(name: str, rows: Sequence[ClipRow]) -> tuple[str, tuple[str, ...], NDArray[Any]]:
    """Kind, names of the outputs and the targets of all clips of a task."""
    if name in NUMBERS:
        numbers = [[_number(row, label) for label in NUMBERS[name]] for row in rows]
        return "numbers", NUMBERS[name], np.array(numbers, np.float32)
    if name == TAGS:
        tags = [set(split_tags(row.labels[name])) for row in rows]
        known = tuple(sorted(set().union(*tags)))
        if not known:
            raise InvalidInput(f"no clip of task {name!r} carries a tag; a probe needs some")
        return "tags", known, np.array([[tag in of_clip for tag in known] for of_clip in tags], np.float32)
    _require_two_classes(name, {row.labels[name] for row in rows if row.split == "train"})
    classes = tuple(sorted({row.labels[name] for row in rows}))
    place = {label: i for i, label in enumerate(classes)}
    kind = "key" if name == "key" and all(musical_keys.parsed(label) for label in classes) else "classes"
    return kind, classes, np.array([place[row.labels[name]] for row in rows], np.int64)


def _number(row: ClipRow, label: str) -> float:
    try:
        value = float(row.labels[label])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(f"clip {row.id!r} has {label} {row.labels[label]!r}; a finite number is needed")
    return value


def _is_number(label: str) -> bool:
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False


def _numbered(names: Sequence[object]) -> NDArray[np.int64]:
    place = {name: i for i, name in enumerate(sorted(set(names), key=str))}
    return np.array([place[name] for name in names], np.int64)


def _songs(rows: Sequence[ClipRow]) -> NDArray[np.int64] | None:
    """Recording of each clip, or None where every recording has one clip."""
    recordings = [f"{row.source}\0{row.member}" for row in rows]
    if len(set(recordings)) == len(recordings):
        return None
    key_of: dict[str, str] = {}
    for recording, row in zip(recordings, rows, strict=True):
        if key_of.setdefault(recording, row.labels["key"]) != row.labels["key"]:
            raise InvalidInput(
                f"clips of {row.source} have the keys {key_of[recording]} and {row.labels['key']}; clips of one "
                "recording are scored as one song, which needs one key"
            )
    return _numbered(recordings)


def _require_splits(name: str, splits: list[str]) -> None:
    counts = {split: splits.count(split) for split in SPLITS}
    if not all(counts.values()):
        raise InvalidInput(f"task {name!r} has {counts} labelled clips; a probe needs some in each split")


def _require_whole_groups(clips: list[tuple[str, str]]) -> None:
    split_of: dict[str, str] = {}
    for group, split in clips:
        if split_of.setdefault(group, split) != split:
            raise InvalidInput(f"group {group!r} stands in {split_of[group]} and in {split}: test clips would leak")


def _require_two_classes(name: str, trained: set[str]) -> None:
    if len(trained) < 2:
        raise InvalidInput(f"all training clips of task {name!r} carry the label {sorted(trained)}; two are needed")
