"""The scores of a representation on rendered scores: a fixed linear probe of key and genre, in counts for each piece.

A logistic regression is trained on the clips of the split train. Its penalty is the one with the best accuracy on the
split valid. It is scored once on the split test. The counts by group are kept, so that scores of runs made on different
days can be paired.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model.probes.musical_keys import credit_matrix
from stores.errors import InvalidInput
from stores.manifest import ClipRow

TASKS = ("key", "genre")
PENALTIES = (0.001, 0.01, 0.1, 1.0)
"""Inverse L2 penalties, scikit-learn's C, from which the split valid chooses."""
MAX_ITERATIONS = 300


@dataclass(frozen=True)
class GroupCounts:
    """A score of one task by group of the split test."""

    points: tuple[float, ...]
    """Sum of the clips' points of each group, in the order of the groups' names: weighted scores for keys, otherwise
    the number of correct clips."""
    clips: tuple[int, ...]
    """Number of clips of each group."""

    @property
    def score(self) -> float:
        """Mean over the clips, from 0 to 1."""
        return sum(self.points) / sum(self.clips)


def probe(features: NDArray[np.float32], rows: Sequence[ClipRow], task: str) -> GroupCounts:
    """Train the probe of a task and score it.

    Args:
        features: features of the clips, `[clips, D]`.
        rows: the clips, with labels, splits and groups.
        task: `key` or `genre`.

    Raises:
        InvalidInput: a split has no labeled clip.
    """
    splits = {split: _of_split(rows, task, split) for split in ("train", "valid", "test")}
    if empty := [split for split, positions in splits.items() if not len(positions)]:
        raise InvalidInput(f"no clip of the split {empty[0]} has the label {task}; render more clips")
    labels = np.array([row.labels.get(task, "") for row in rows])
    models = [_fit(features[splits["train"]], labels[splits["train"]], penalty) for penalty in PENALTIES]
    valid = splits["valid"]
    best = max(models, key=lambda model: model.score(features[valid], labels[valid]))
    predicted = best.predict(features[splits["test"]])
    groups = np.array([rows[position].group for position in splits["test"]])
    return _count(predicted, labels[splits["test"]], groups, task)


def _of_split(rows: Sequence[ClipRow], task: str, split: str) -> NDArray[np.int64]:
    return np.array([i for i, row in enumerate(rows) if row.split == split and task in row.labels], np.int64)


def _fit(features: NDArray[np.float32], labels: NDArray[np.str_], penalty: float):  # type: ignore[no-untyped-def]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=MAX_ITERATIONS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, labels)


def _count(predicted: NDArray[np.str_], labels: NDArray[np.str_], groups: NDArray[np.str_], task: str) -> GroupCounts:
    points = _credits(labels, predicted) if task == "key" else (predicted == labels).astype(np.float64)
    _, numbers = np.unique(groups, return_inverse=True)
    return GroupCounts(tuple(np.bincount(numbers, points).tolist()), tuple(np.bincount(numbers).tolist()))


def _credits(labels: NDArray[np.str_], predicted: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return the credit of each predicted key, `[clips]`."""
    classes, numbers = np.unique(np.concatenate([labels, predicted]), return_inverse=True)
    true, answered = numbers.reshape(2, -1)
    return credit_matrix(classes.tolist())[true, answered]
