"""What stands behind a score, class by class: confusions, tags, and how far off mistaken keys are."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from model.probes import musical_keys
from model.probes.evaluation import metrics
from model.probes.evaluation.scoring import ScoredOutputs
from model.probes.task import Task


def per_class_results(task: Task, found: ScoredOutputs) -> dict[str, Any]:
    """A table of the test split, JSON.

    classes: `confusions`, counts `[true, predicted]` in the order of the task's classes.
    keys: the same, and `relations`, how many songs or clips were taken for the same key, its fifth, ...
    tags: for each tag `clips` that carry it, `ROC-AUC` and `average precision`; null where they are not defined.
    numbers: for each the `correlation` (Pearson's) of prediction and truth; null where one of them never changes.
    """
    if task.kind == "tags":
        return {"tags": [_tag(task, found, place) for place in range(len(task.classes))]}
    if task.kind == "numbers":
        return {"numbers": [_number(task, found, place) for place in range(len(task.classes))]}
    count = len(task.classes)
    pairs = found.targets * count + found.predictions
    confusions = np.bincount(pairs, minlength=count * count).reshape(count, count)
    told: dict[str, Any] = {"confusions": confusions.tolist()}
    if task.kind == "key":
        names = musical_keys.relations(task.classes)
        seen = Counter(names[true][said] for true, said in zip(found.targets, found.predictions, strict=True))
        told["relations"] = {name: seen[name] for name in musical_keys.CREDIT}
    return told


def _tag(task: Task, found: ScoredOutputs, place: int) -> dict[str, Any]:
    carried = found.targets[:, place]
    once = np.ones((1, len(carried)))
    area, average = (_json(one) for one in metrics.tag_metrics(found.predictions[:, place], carried, once)[0])
    facts = {"name": task.classes[place], "clips": int(carried.sum())}
    return {**facts, "ROC-AUC": area, "average precision": average}


def _number(task: Task, found: ScoredOutputs, place: int) -> dict[str, Any]:
    said, true = found.predictions[:, place], found.targets[:, place]
    defined = said.std() > 0 and true.std() > 0
    return {"name": task.classes[place], "correlation": float(np.corrcoef(said, true)[0, 1]) if defined else None}


def _json(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
