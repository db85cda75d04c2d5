"""What guessing scores on a test split: evenly among all, or always what train holds most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.probes import musical_keys
from model.probes.evaluation.scoring import ScoredOutputs, metric_names, point
from model.probes.task import Task


def chance(task: Task, test: ScoredOutputs) -> dict[str, float]:
    """Every metric, in the mean, of guessing evenly.

    Of tags: any order of the clips, so an ROC-AUC of 1/2 and an average precision near each tag's share. Of numbers:
    their mean in test, an R² of 0.
    """
    if task.kind in ("tags", "numbers"):
        return _constant(task, test, test.targets.mean(0))
    even = 1 / len(task.classes)
    if task.kind == "classes":
        return {"accuracy": even}
    weighted = float(musical_keys.credit(task.classes)[test.targets].mean())
    return dict(zip(metric_names(task), (weighted, even), strict=True))


def majority(task: Task, test: ScoredOutputs) -> dict[str, float]:
    """Every metric of always saying what is most frequent in train, or the mean of train for tags and numbers."""
    train = task.splits["train"].targets
    if task.kind in ("tags", "numbers"):
        return _constant(task, test, train.mean(0))
    most = np.bincount(train).argmax()
    return point(task, ScoredOutputs(np.full_like(test.targets, most), test.targets, test.groups))


def _constant(task: Task, test: ScoredOutputs, value: NDArray[np.float64]) -> dict[str, float]:
    said = np.broadcast_to(value, test.targets.shape).astype(np.float64)
    return point(task, ScoredOutputs(said, test.targets, test.groups))
