"""A task: the clips of a feature store that have a label, by split, and their targets.

classes  one of several classes (single-label): accuracy
key      the same, where every class is a key such as `Eb minor`: mir_eval's weighted score, for songs where recordings
         have several clips
tags     any number of tags (multi-label, the label `tags`): ROC-AUC and average precision
numbers  regression of several numbers (the task `emotion`, from the labels `arousal` and `valence`): R^2
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.probes.labeled_clips import KEY, SPLITS, TAGS, LabeledClips, has_value
from stores import key_names, manifest, mapped_array
from stores.errors import InvalidInput
from stores.features import FeatureStore
from stores.labels import count_noun, is_empty_word, split_tags
from stores.manifest import ClipRow

REGRESSION_TASKS = {"emotion": ("arousal", "valence")}
"""Regression tasks, and the labels that hold their numbers."""
_MAX_NUMBERED_CLASSES = 5  # up to so many classes are often called 1, 2, 3


@dataclass(frozen=True)
class TaskSplit:
    """The labeled clips of one split."""

    features: NDArray[np.float32]
    """Features, `[clips, D]`."""
    targets: NDArray[Any]
    """Indices into the task's `classes`, int64 `[clips]`. For tags (0 or 1) and numbers float32 `[clips, C]`."""
    groups: NDArray[np.int64]
    """Group (piece, song or artist) of each clip, numbered from 0. The bootstrap resamples groups."""
    songs: NDArray[np.int64] | None = None
    """Recording of each clip, numbered from 0. None if clips are scored, not songs."""

    def select(self, clips: NDArray[Any]) -> TaskSplit:
        """Return some of the clips, given as mask or index `[clips]`. `groups` and `songs` keep their numbers."""
        songs = None if self.songs is None else self.songs[clips]
        rows = np.flatnonzero(clips) if np.asarray(clips).dtype == bool else np.asarray(clips, np.int64)
        return TaskSplit(mapped_array.take(self.features, rows), self.targets[clips], self.groups[clips], songs)


@dataclass(frozen=True)
class Task:
    """One task with the features of one representation."""

    name: str
    """Name of the task, for example `key`."""
    classes: tuple[str, ...]
    """Names of the outputs: all classes or tags of all splits, sorted, or the names of the numbers. A class without a
    training clip is never predicted."""
    splits: dict[str, TaskSplit]
    """Clips by split: train, valid and test."""
    kind: str = "classes"
    """`classes`, `key`, `tags` or `numbers`."""
    without_value: int = 0
    """Number of clips whose label is a word for no value, such as `nan`. They have no label."""

    @classmethod
    def of(cls, features: FeatureStore, name: str) -> Task:
        """Select the clips that have the label `name`, or all labels of the regression task `name`.

        Raises:
            InvalidInput: a split has no such clip, a group is in two splits, the training clips have fewer than two
                classes, a number is not finite, or clips of one recording differ in key.
        """
        clips, without_value = LabeledClips.select(features.rows, label_names(name))
        _require_splits(name, clips.splits)
        _require_whole_groups(list(zip(clips.groups, clips.splits, strict=True)))
        kind, classes, targets = _targets(name, clips)
        of_split = np.array(clips.splits)
        splits = {}
        for split in SPLITS:
            places = np.flatnonzero(of_split == split)
            songs = _songs(clips, places) if kind == "key" else None
            embeddings = mapped_array.take(features.embeddings, clips.positions[places])
            groups = _numbered([clips.groups[k] for k in places.tolist()])
            splits[split] = TaskSplit(embeddings, targets[places], groups, songs)
        return cls(name, classes, splits, kind, without_value)

    def notes(self) -> list[str]:
        """Return warnings about the labels.

        They are about words for no value, classes without a training clip, and numbers that are read as classes.
        """
        notes = []
        if self.without_value:
            notes.append(
                f"{count_noun(self.without_value, 'clip')} of {self.name} left out: the label is empty, a word for no "
                "value, such as nan, or a choice between keys"
            )
        if self.kind not in ("classes", "key"):
            return notes
        missing = sorted(set(range(len(self.classes))) - set(self.splits["train"].targets.tolist()))
        if missing:
            notes.append(
                f"{len(missing)} of {len(self.classes)} classes of {self.name} have no training clip and are never "
                f"predicted, e.g. {self.classes[missing[0]]!r}"
            )
        if len(self.classes) > _MAX_NUMBERED_CLASSES and all(_is_number(label) for label in self.classes):
            notes.append(f"the labels of {self.name} are numbers; they are used as {len(self.classes)} classes")
        return notes

    def with_train_clips(self, clips: NDArray[Any]) -> Task:
        """Return the same task with only these of its training clips, given as mask or index `[clips]`."""
        return replace(self, splits={**self.splits, "train": self.splits["train"].select(clips)})

    def with_train_groups(self, count: int, seed: int = 0) -> Task:
        """Return the same task with labels for only `count` of its training groups, which `seed` chooses.

        Raises:
            InvalidInput: the task does not have as many groups, or the chosen groups have fewer than two classes.
        """
        train = self.splits["train"]
        groups = np.unique(train.groups)
        if not 1 <= count <= len(groups):
            raise InvalidInput(
                f"--train-groups must be 1 to {len(groups)}, the number of training groups of task {self.name!r} "
                f"(got {count})"
            )
        labeled = np.isin(train.groups, np.random.default_rng(seed).permutation(groups)[:count])
        _require_two_classes(self.name, {self.classes[target] for target in train.targets[labeled]})
        return self.with_train_clips(labeled)

    def with_features(self, columns: slice) -> Task:
        """Return the same task with some of the features."""
        splits = {split: replace(part, features=part.features[:, columns]) for split, part in self.splits.items()}
        return replace(self, splits=splits)

    def target_matrix(self, split: str) -> NDArray[np.float32]:
        """Return the targets of a split for the training of a probe, float32 `[clips, C]`, one-hot for classes."""
        targets: NDArray[np.float32] = self.splits[split].targets
        if targets.ndim == 2:
            targets = targets.astype(np.float32)
        else:
            targets = np.eye(len(self.classes), dtype=np.float32)[targets]
        return targets


def label_names(task: str) -> tuple[str, ...]:
    """Return the labels that a clip of `task` must have."""
    return REGRESSION_TASKS.get(task, (task,))


def task_names(rows: Sequence[ClipRow]) -> list[str]:
    """Return the names of all tasks of which some clip has the labels, sorted."""
    present = {name for name, label in manifest.distinct_labels(rows) if has_value(name, label)}
    numbers = {label for labels in REGRESSION_TASKS.values() for label in labels}
    regression = {name for name, labels in REGRESSION_TASKS.items() if set(labels) <= present}
    return sorted((present - numbers) | regression)


def _targets(name: str, clips: LabeledClips) -> tuple[str, tuple[str, ...], NDArray[Any]]:
    """Return the kind of a task, the names of its outputs and the targets of all clips."""
    if name in REGRESSION_TASKS:
        names = REGRESSION_TASKS[name]
        return "numbers", names, np.stack([_numbers(clips, label) for label in names], axis=1)
    if name == TAGS:
        return "tags", *_tags(name, clips.labels[name])
    stated = clips.labels[name]
    kind = "key" if name == KEY and all(map(_key, stated)) else "classes"
    spelled = _one_spelling(stated) if kind == "key" else stated
    _require_two_classes(name, {label for label, split in zip(spelled, clips.splits, strict=True) if split == "train"})
    classes = tuple(sorted(set(spelled)))
    index = {label: i for i, label in enumerate(classes)}
    return kind, classes, np.array([index[label] for label in spelled], np.int64)


def _tags(name: str, labels: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Return all tags of the labels, sorted, and which of them each label has, `[clips, tags]`."""
    tags_of = {label: {tag for tag in split_tags(label) if not is_empty_word(tag)} for label in set(labels)}
    tags = tuple(sorted(set().union(*tags_of.values())))
    if not tags:
        raise InvalidInput(f"no clip of task {name!r} has a tag; a probe needs at least one")
    column = {tag: place for place, tag in enumerate(tags)}
    targets = np.zeros((len(labels), len(tags)), np.float32)
    for row, label in zip(targets, labels, strict=True):
        row[[column[tag] for tag in tags_of[label]]] = 1
    return tags, targets


def _one_spelling(labels: Sequence[str]) -> list[str]:
    """Return key labels where every key has one spelling, the first of those that occur in alphabetical order."""
    spelling = key_names.spellings(sorted(set(labels)))
    return [spelling[key] for label in labels if (key := _key(label))]


_key = lru_cache(65_536)(key_names.parse_key)


def _numbers(clips: LabeledClips, name: str) -> NDArray[np.float32]:
    """Return the label `name` of all clips as numbers, `[clips]`."""
    values = [_number(label) for label in clips.labels[name]]
    for place, value in enumerate(values):
        if not math.isfinite(value):
            label = clips.labels[name][place]
            raise InvalidInput(f"clip {clips.clip_id(place)!r} has {name} {label!r}; a finite number is needed")
    return np.array(values, np.float32)


def _number(label: str) -> float:
    try:
        return float(label)
    except ValueError:
        return math.nan


def _is_number(label: str) -> bool:
    return math.isfinite(_number(label))


def _numbered(names: Sequence[object]) -> NDArray[np.int64]:
    """Return the place of each name among the sorted distinct names."""
    place = {name: i for i, name in enumerate(sorted(set(names), key=str))}
    return np.array([place[name] for name in names], np.int64)


def _songs(clips: LabeledClips, places: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return the recording or transposed copy of some clips `[chosen]`, or None if every recording has one clip."""
    recordings = clips.recordings(places)
    if len(set(recordings)) == len(recordings):
        return None
    key_of: dict[tuple[str, str, int], str] = {}
    for recording, place in zip(recordings, places.tolist(), strict=True):
        key = clips.labels[KEY][place]
        known = key_of.setdefault(recording, key)
        if (_key(known) or known) != (_key(key) or key):
            raise InvalidInput(
                f"clips of {recording[0]} have the keys {known} and {key}; clips of one recording are scored as one "
                "song, which needs one key"
            )
    return _numbered([f"{source}\0{member}\0{semitones}" for source, member, semitones in recordings])


def _require_splits(name: str, splits: Sequence[str]) -> None:
    counts = {split: splits.count(split) for split in SPLITS}
    if not all(counts.values()):
        raise InvalidInput(
            f"task {name!r} has {counts} labeled clips; a probe needs some in each split. State them in the column "
            "split of the table of --labels and ingest again, or use `python -m dags.explore`, which makes splits"
        )


def _require_whole_groups(clips: list[tuple[str, str]]) -> None:
    split_of: dict[str, str] = {}
    for group, split in clips:
        if split_of.setdefault(group, split) != split:
            raise InvalidInput(
                f"group {group!r} has clips in {split_of[group]} and in {split}; all clips of a group must be in one "
                "split, because they resemble each other"
            )


def _require_two_classes(name: str, labels: set[str]) -> None:
    if len(labels) < 2:
        raise InvalidInput(f"all training clips of task {name!r} have the label {sorted(labels)}; two are needed")
