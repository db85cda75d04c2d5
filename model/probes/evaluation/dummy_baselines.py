"""Dummy baselines: the scores on the test split of predictions that ignore the input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.probes import musical_keys
from model.probes.evaluation.scoring import ScoredOutputs, metric_names, metric_values
from model.probes.task import Task


def chance(task: Task, test: ScoredOutputs) -> dict[str, float]:
    """Return the expected value of every metric if all classes are guessed with equal probability.

    For tags, the clips are in random order: ROC-AUC is 1/2, and average precision is near the share of each tag. For
    numbers, the mean of the test targets is predicted, and R² is 0.
    """
    if task.kind in ("tags", "numbers"):
        return _constant(task, test, test.targets.mean(0))
    even = 1 / len(task.classes)
    if task.kind == "classes":
        return {"accuracy": even}
    weighted = float(musical_keys.credit_matrix(task.classes)[test.targets].mean())
    return dict(zip(metric_names(task), (weighted, even), strict=True))


def majority(task: Task, test: ScoredOutputs) -> dict[str, float]:
    """Return every metric of always predicting the most frequent training class, or the training mean."""
    train = task.splits["train"].targets
    if task.kind in ("tags", "numbers"):
        return _constant(task, test, train.mean(0))
    most_frequent = np.bincount(train).argmax()
    return metric_values(task, ScoredOutputs(np.full_like(test.targets, most_frequent), test.targets, test.groups))


def _constant(task: Task, test: ScoredOutputs, value: NDArray[np.float64]) -> dict[str, float]:
    predictions = np.broadcast_to(value, test.targets.shape).astype(np.float64)
    return metric_values(task, ScoredOutputs(predictions, test.targets, test.groups))
