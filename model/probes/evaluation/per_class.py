"""Per-class results of a prediction: confusions, metrics of each tag, and relations of predicted keys to true keys."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from model.probes import musical_keys
from model.probes.evaluation import weighted_metrics
from model.probes.evaluation.scoring import ScoredOutputs
from model.probes.task import Task


def per_class_results(task: Task, outputs: ScoredOutputs) -> dict[str, Any]:
    """Return the per-class results of the test split as JSON values.

    classes: `confusions`, counts `[true, predicted]` in the order of the task's classes.
    keys: the same, and `relations`, the number of songs or clips by the relation of the predicted key to the true key.
    tags: for each tag `clips` (how many have it), `ROC-AUC` and `average precision`, which are null if not defined.
    numbers: for each number the `correlation` (Pearson) of prediction and truth, which is null if one is constant.
    """
    places = range(len(task.classes))
    if task.kind == "tags":
        return {"tags": [_tag(task, outputs, place) for place in places]}
    if task.kind == "numbers":
        return {"numbers": [_number(task, outputs, place) for place in places]}
    count = len(task.classes)
    pairs = outputs.targets * count + outputs.predictions
    confusions = np.bincount(pairs, minlength=count * count).reshape(count, count)
    results: dict[str, Any] = {"confusions": confusions.tolist()}
    if task.kind == "key":
        names = musical_keys.relation_matrix(task.classes)
        keys = zip(outputs.targets, outputs.predictions, strict=True)
        counts = Counter(names[true][predicted] for true, predicted in keys)
        results["relations"] = {name: counts[name] for name in musical_keys.CREDIT}
    return results


def _tag(task: Task, outputs: ScoredOutputs, place: int) -> dict[str, Any]:
    targets = outputs.targets[:, place]
    equal_weights = np.ones((1, len(targets)))
    values = weighted_metrics.tag_metrics(outputs.predictions[:, place], targets, equal_weights)[0]
    area, average = (_finite_or_none(value) for value in values)
    return {
        "name": task.classes[place],
        "clips": int(targets.sum()),
        "ROC-AUC": area,
        "average precision": average,
    }


def _number(task: Task, outputs: ScoredOutputs, place: int) -> dict[str, Any]:
    predictions, targets = outputs.predictions[:, place], outputs.targets[:, place]
    defined = predictions.std() > 0 and targets.std() > 0
    correlation = float(np.corrcoef(predictions, targets)[0, 1]) if defined else None
    return {"name": task.classes[place], "correlation": correlation}


def _finite_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
