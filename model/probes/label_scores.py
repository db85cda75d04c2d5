"""What embeddings tell about the labels of a small collection: shares of clips that a linear classifier gets right.

Below `MIN_SPLIT_CLIPS` labeled clips, the classifier is cross-validated with whole groups, so that every clip is tested
once. Above, it is trained on the splits train and valid, and tested on test. Representations are tested on the same
clips, so their differences are paired. This is quicker than `model.probe`, and says less about many labels.

Axes: C clip, D width.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model.probes.evaluation.bootstrap import Interval, confidence_interval
from stores.manifest import ClipRow

MIN_SPLIT_CLIPS = 200
"""Labeled clips from which the splits are used. Fewer would leave too few test clips."""
MIN_CLASS_CLIPS = 5
"""Clips that a class needs. Classes with fewer clips, or with fewer groups than there are folds, are left out."""
FOLDS = 5
MAX_CLASSES = 100
"""Labels with more classes are names or numbers, and are not scored."""
INVERSE_L2 = 1.0
"""Penalty of the logistic regression, scikit-learn's C, the same for all representations, on standardized features."""
_MAX_ITERATIONS = 1_000


@dataclass(frozen=True)
class LabelTask:
    """The clips with one label, as far as it can be scored."""

    name: str
    """Name of the label."""
    clips: NDArray[np.int64]
    """Positions of the clips, `[C]`."""
    targets: NDArray[np.int64]
    """Class of each clip, `[C]`."""
    groups: NDArray[np.int64]
    """Group of each clip, numbered from 0, `[C]`."""
    classes: tuple[str, ...]
    """Names of the classes."""
    left_out: Mapping[str, int]
    """Number of clips of each class that is left out, because it has too few clips or groups."""
    tested: tuple[NDArray[np.bool_], ...]
    """For each fold, True for the clips that are tested, `[C]`. With splits there is one fold."""

    @property
    def is_cross_validated(self) -> bool:
        """True if every clip is tested once."""
        return len(self.tested) > 1


@dataclass(frozen=True)
class LabelScore:
    """The results of one label."""

    task: LabelTask
    """The clips and classes."""
    tested_clips: int
    """Number of clips that were tested."""
    accuracy: Mapping[str, tuple[float, Interval]]
    """Share of tested clips that are classified correctly, with its interval, by representation."""
    majority: float
    """Share that the most frequent class would give."""
    majority_class: str
    """The most frequent class."""
    differences: Mapping[str, Interval]
    """Interval of the accuracy of the first representation minus that of each other one, and of the majority."""


def label_tasks(
    rows: Sequence[ClipRow], groups: Sequence[str], seed: int = 0
) -> tuple[list[LabelTask], dict[str, str]]:
    """Return the labels that can be scored, and why the others cannot be.

    Args:
        rows: the clips.
        groups: group of each clip, which is never both trained on and tested.
        seed: seed of the folds.
    """
    tasks, reasons = [], {}
    for name in sorted({name for row in rows for name in row.labels}):
        task = _task(name, rows, groups, seed)
        if isinstance(task, str):
            reasons[name] = task
        else:
            tasks.append(task)
    return tasks, reasons


def score(task: LabelTask, features: Mapping[str, NDArray[np.float32]]) -> LabelScore:
    """Return the accuracy of each representation, the first of which is compared with the others.

    Args:
        task: a label.
        features: one row for each clip of the collection, `[clips, D]`, by representation.
    """
    tested = np.any(task.tested, axis=0)
    groups = np.unique(task.groups[tested], return_inverse=True)[1]
    correct = {name: _correct(task, matrix[task.clips])[tested] for name, matrix in features.items()}
    first, *others = correct
    accuracy = {}
    for name, values in correct.items():
        share = float(values.mean())
        accuracy[name] = share, confidence_interval(values, groups).including(share)
    frequent = int(np.bincount(task.targets).argmax())
    majority = (task.targets[tested] == frequent).astype(np.float64)
    differences = {name: confidence_interval(correct[first] - correct[name], groups) for name in others}
    differences["majority"] = confidence_interval(correct[first] - majority, groups)
    return LabelScore(task, int(tested.sum()), accuracy, float(majority.mean()), task.classes[frequent], differences)


def _correct(task: LabelTask, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return 1 for each clip that is classified correctly when it is tested, else 0, `[C]`."""
    correct = np.zeros(len(features))
    for tested in task.tested:
        regression = LogisticRegression(C=INVERSE_L2, max_iter=_MAX_ITERATIONS, tol=1e-3)
        model = make_pipeline(StandardScaler(), regression)
        model.fit(features[~tested].astype(np.float64), task.targets[~tested])
        correct[tested] = model.predict(features[tested].astype(np.float64)) == task.targets[tested]
    return correct


def _task(name: str, rows: Sequence[ClipRow], groups: Sequence[str], seed: int) -> LabelTask | str:
    """Return the task of a label, or the reason why it cannot be scored."""
    labels = [row.labels.get(name, "") for row in rows]
    counts = Counter(label for label in labels if label)
    if len(counts) > MAX_CLASSES:
        return f"has {len(counts)} different values"
    groups_of = defaultdict(set)
    for label, group in zip(labels, groups, strict=True):
        groups_of[label].add(group)
    kept = sorted(
        label for label, count in counts.items() if count >= MIN_CLASS_CLIPS and len(groups_of[label]) >= FOLDS
    )
    left_out = {label: count for label, count in counts.items() if label not in kept}
    if len(kept) < 2:
        return f"has fewer than two values with at least {MIN_CLASS_CLIPS} clips in {FOLDS} groups"
    clips = np.array([i for i, label in enumerate(labels) if label in kept])
    targets = np.array([kept.index(labels[i]) for i in clips])
    numbers = np.unique([groups[i] for i in clips], return_inverse=True)[1]
    tested = _folds([rows[i].split for i in clips], targets, numbers, seed)
    return LabelTask(name, clips, targets, numbers, tuple(kept), left_out, tested)


def _folds(
    splits: Sequence[str], targets: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.bool_], ...]:
    test = np.array([split == "test" for split in splits])
    if len(targets) >= MIN_SPLIT_CLIPS and set(targets[~test]) == set(targets) and test.any():
        return (test,)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(targets, targets, groups)
    masks = []
    for _, positions in folds:
        mask = np.zeros(len(targets), bool)
        mask[positions] = True
        masks.append(mask)
    return tuple(mask for mask in masks if mask.any())
