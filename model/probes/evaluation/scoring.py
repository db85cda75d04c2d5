"""The scores of one prediction of a split: the metrics of its task, each with its values over all bootstrap draws.

classes  accuracy                                     numbers  R^2 of each
key      weighted score, accuracy; of songs           tags     macro ROC-AUC, macro average precision
The first metric of classes and keys, and the mean of those of tags and of numbers, is what the paper averages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.probes import musical_keys, song_aggregation
from model.probes.evaluation import bootstrap, metrics
from model.probes.task import Task
from stores.errors import InvalidInput

TAG_REPLICATES = 1_000
"""Draws for tags, whose metrics sort every tag anew: 5,329 clips and 50 tags take some ten seconds."""
FEW_TAG_REPLICATES = 200
"""The same where many predictions are measured, for label efficiency: two seconds each."""
_TAG_BLOCK = 32  # draws at a time, so that a block of weights stays in the cache
AVERAGED = {"classes": 1, "key": 1, "tags": 2, "numbers": 2}
"""How many metrics of a task the paper's average takes, as their mean."""


@dataclass(frozen=True)
class ScoredOutputs:
    """What is scored: clips, or songs."""

    predictions: NDArray[Any]
    """int64 class `[N]`, or outputs `[N, C]` for tags and numbers."""
    targets: NDArray[Any]
    """The same of the truth."""
    groups: NDArray[np.int64]
    """Group of each, numbered from 0, `[N]`."""


@dataclass(frozen=True)
class MetricEstimate:
    """One metric."""

    value: float
    """On the split as it is."""
    draws: NDArray[np.float64]
    """`[draws]`, over groups drawn anew; the same draws for every representation."""


def metric_names(task: Task) -> tuple[str, ...]:
    """Names of the metrics of a task, the most important first."""
    if task.kind == "numbers":
        return tuple(f"R² {name}" for name in task.classes)
    names = {"classes": "accuracy", "key": "weighted score|accuracy", "tags": "ROC-AUC|average precision"}
    return tuple(names[task.kind].split("|"))


def scored(task: Task, split: str, outputs: NDArray[np.float32], vote: str = "") -> ScoredOutputs:
    """Turn outputs `[clips, C]` for a split into what is scored; classes of songs by `vote` where there are songs."""
    part = task.splits[split]
    if task.kind in ("tags", "numbers"):
        return ScoredOutputs(outputs.astype(np.float64), part.targets.astype(np.float64), part.groups)
    if part.songs is None or not vote:
        return ScoredOutputs(outputs.argmax(1), part.targets, part.groups)
    count, (_, first) = int(part.songs.max()) + 1, np.unique(part.songs, return_index=True)
    of_songs = song_aggregation.song_predictions(torch.from_numpy(outputs)[None], torch.from_numpy(part.songs), count)
    return ScoredOutputs(of_songs[vote][0].numpy(), part.targets[first], part.groups[first])


def estimate_metrics(task: Task, found: ScoredOutputs, tag_draws: int = TAG_REPLICATES) -> dict[str, MetricEstimate]:
    """Every metric of the task, with its draws; `tag_draws` of them for tags."""
    values, count = point(task, found), int(found.groups.max()) + 1
    many, block = (tag_draws, _TAG_BLOCK) if task.kind == "tags" else (bootstrap.REPLICATES, None)
    drawn = [_values(task, found, weights) for weights in bootstrap.weights(count, many, block=block)]
    columns = np.concatenate(drawn).T
    return {name: MetricEstimate(value, column) for (name, value), column in zip(values.items(), columns, strict=True)}


def mean_of(task: Task, several: Sequence[ScoredOutputs]) -> dict[str, dict[str, Any]]:
    """The mean of several predictions of one split: `metrics`, and `intervals` of 95 % over groups.

    Groups are drawn once for all of them, so an interval is of the mean; what the predictions differ in is averaged.
    """
    each = [estimate_metrics(task, one, FEW_TAG_REPLICATES) for one in several]
    metrics, intervals = {}, {}
    for name in each[0]:
        metrics[name] = float(np.mean([one[name].value for one in each]))
        intervals[name] = asdict(bootstrap.Interval.of(np.mean([one[name].draws for one in each], axis=0)))
    return {"metrics": metrics, "intervals": intervals}


def point(task: Task, found: ScoredOutputs) -> dict[str, float]:
    """Every metric of the task on the split as it is.

    Raises:
        InvalidInput: one is not defined there, as R² of numbers that are all alike.
    """
    once = np.ones((1, int(found.groups.max()) + 1), np.int64)
    values = dict(zip(metric_names(task), map(float, _values(task, found, once)[0]), strict=True))
    if undefined := [name for name, value in values.items() if not np.isfinite(value)]:
        raise InvalidInput(
            f"task {task.name!r} has no {' or '.join(undefined)} on {len(found.targets)} clips whose labels do not "
            "differ"
        )
    return values


def average(kind: str, values: Sequence[float]) -> float:
    """What the paper's average takes of a task with these metrics, in the order of `metric_names`."""
    taken = AVERAGED[kind]
    return float(np.mean(values[:taken]))


def _values(task: Task, found: ScoredOutputs, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Metrics `[W, metrics]` for weights of groups `[W, groups]`."""
    if task.kind in ("tags", "numbers"):
        metric = metrics.macro_tags if task.kind == "tags" else metrics.r2
        values: NDArray[np.float64] = metric(
            found.predictions, found.targets, weights[:, found.groups].astype(np.float64)
        )
        return values
    count = weights.shape[1]
    sums = np.stack([np.bincount(found.groups, one, count) for one in _credits(task, found).T], axis=1)
    means: NDArray[np.float64] = (weights @ sums) / (weights @ np.bincount(found.groups, minlength=count))[:, None]
    return means


def _credits(task: Task, found: ScoredOutputs) -> NDArray[np.float64]:
    """What each prediction of a class is worth by each metric, `[N, metrics]`."""
    right: NDArray[np.float64] = (found.predictions == found.targets).astype(np.float64)
    columns = [right] if task.kind == "classes" else [_key_credit(task, found), right]
    return np.stack(columns, axis=1)


def _key_credit(task: Task, found: ScoredOutputs) -> NDArray[np.float64]:
    of_each: NDArray[np.float64] = musical_keys.credit(task.classes)[found.targets, found.predictions]
    return of_each
