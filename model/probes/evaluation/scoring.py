"""Scoring of the predictions for one split: the metrics of the task, each with its bootstrap replicates.

classes  accuracy                                       numbers  R^2 of each number
key      weighted score, accuracy; for songs            tags     macro ROC-AUC, macro average precision

The average of the paper takes the first metric of classes and keys, and the mean of all metrics of tags and numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.probes import musical_keys, song_aggregation
from model.probes.evaluation import bootstrap, weighted_metrics
from model.probes.task import Task
from stores.errors import InvalidInput

TAG_REPLICATES = 1_000
"""Bootstrap replicates for tags, whose metrics sort every tag again. 5,329 clips and 50 tags take about ten seconds."""
FEW_TAG_REPLICATES = 200
"""Bootstrap replicates for tags in the label efficiency, which scores many predictions. Each takes two seconds."""
_TAG_BLOCK = 32  # replicates at a time, so that a block of weights stays in the cache
AVERAGED_METRICS = {"classes": 1, "key": 1, "tags": 2, "numbers": 2}
"""Number of metrics of a task, by its kind, whose mean enters the average of the paper."""


@dataclass(frozen=True)
class ScoredOutputs:
    """Predictions for clips or songs, with what is needed to score them."""

    predictions: NDArray[Any]
    """Predicted class, int64 `[N]`, or outputs `[N, C]` for tags and numbers."""
    targets: NDArray[Any]
    """True classes, tags or numbers, in the shape of `predictions`."""
    groups: NDArray[np.int64]
    """Group of each clip or song, numbered from 0, `[N]`."""


@dataclass(frozen=True)
class MetricEstimate:
    """The value of one metric, with bootstrap replicates."""

    value: float
    """Value on the whole split."""
    replicates: NDArray[np.float64]
    """Value on each bootstrap replicate, `[replicates]`. All representations have the same replicates."""


def metric_names(task: Task) -> tuple[str, ...]:
    """Return the names of the metrics of a task. The first one is the main metric."""
    if task.kind == "numbers":
        return tuple(f"R² {name}" for name in task.classes)
    names = {"classes": "accuracy", "key": "weighted score|accuracy", "tags": "ROC-AUC|average precision"}
    return tuple(names[task.kind].split("|"))


def scored_outputs(task: Task, split: str, outputs: NDArray[np.float32], aggregation: str = "") -> ScoredOutputs:
    """Return the predictions that outputs `[clips, C]` for a split make.

    If the split has songs and `aggregation` is the name of a song-level aggregation, these are predictions for songs.
    """
    clips = task.splits[split]
    if task.kind in ("tags", "numbers"):
        return ScoredOutputs(outputs.astype(np.float64), clips.targets.astype(np.float64), clips.groups)
    if clips.songs is None or not aggregation:
        return ScoredOutputs(outputs.argmax(1), clips.targets, clips.groups)
    count, (_, first_clips) = int(clips.songs.max()) + 1, np.unique(clips.songs, return_index=True)
    tensors = torch.from_numpy(outputs)[None], torch.from_numpy(clips.songs)
    ranks = torch.from_numpy(musical_keys.label_ranks(task.classes))
    songs = song_aggregation.song_predictions(*tensors, count, ranks)
    return ScoredOutputs(songs[aggregation][0].numpy(), clips.targets[first_clips], clips.groups[first_clips])


def estimate_metrics(
    task: Task, outputs: ScoredOutputs, tag_replicates: int = TAG_REPLICATES
) -> dict[str, MetricEstimate]:
    """Return every metric of the task with its bootstrap replicates, of which tags have `tag_replicates`."""
    values, groups = metric_values(task, outputs), int(outputs.groups.max()) + 1
    count, block = (tag_replicates, _TAG_BLOCK) if task.kind == "tags" else (bootstrap.REPLICATES, None)
    blocks = [_values(task, outputs, weights) for weights in bootstrap.replicate_weights(groups, count, block=block)]
    columns = np.concatenate(blocks).T
    return {name: MetricEstimate(value, column) for (name, value), column in zip(values.items(), columns, strict=True)}


def mean_estimate(task: Task, predictions: Sequence[ScoredOutputs]) -> dict[str, dict[str, Any]]:
    """Return the mean scores of several predictions of one split: `metrics`, and `intervals` of 95 % over groups.

    All predictions have the same bootstrap replicates, so an interval is that of the mean over the predictions.
    """
    estimates = [estimate_metrics(task, outputs, FEW_TAG_REPLICATES) for outputs in predictions]
    metrics, intervals = {}, {}
    for name in estimates[0]:
        metrics[name] = float(np.mean([estimate[name].value for estimate in estimates]))
        replicates = np.mean([estimate[name].replicates for estimate in estimates], axis=0)
        intervals[name] = asdict(bootstrap.Interval.of(replicates))
    return {"metrics": metrics, "intervals": intervals}


def metric_values(task: Task, outputs: ScoredOutputs) -> dict[str, float]:
    """Return every metric of the task on the whole split.

    Raises:
        InvalidInput: a metric is not defined, for example R² of numbers that are all equal.
    """
    equal_weights = np.ones((1, int(outputs.groups.max()) + 1), np.int64)
    values = dict(zip(metric_names(task), map(float, _values(task, outputs, equal_weights)[0]), strict=True))
    if undefined := [name for name, value in values.items() if not np.isfinite(value)]:
        raise InvalidInput(
            f"task {task.name!r}: {' and '.join(undefined)} cannot be computed, because the labels of the "
            f"{len(outputs.targets)} clips do not differ"
        )
    return values


def task_average(kind: str, values: Sequence[float]) -> float:
    """Return the number of a task that enters the average of the paper.

    Args:
        kind: kind of the task.
        values: its metrics, in the order of `metric_names`.
    """
    return float(np.mean(values[: AVERAGED_METRICS[kind]]))


def _values(task: Task, outputs: ScoredOutputs, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the metrics `[W, metrics]` for group weights `[W, groups]`."""
    if task.kind in ("tags", "numbers"):
        metric = weighted_metrics.macro_tags if task.kind == "tags" else weighted_metrics.r2
        values: NDArray[np.float64] = metric(
            outputs.predictions, outputs.targets, weights[:, outputs.groups].astype(np.float64)
        )
        return values
    count = weights.shape[1]
    sums = np.stack([np.bincount(outputs.groups, column, count) for column in _credits(task, outputs).T], axis=1)
    sizes = np.bincount(outputs.groups, minlength=count)
    means: NDArray[np.float64] = (weights @ sums) / (weights @ sizes)[:, None]
    return means


def _credits(task: Task, outputs: ScoredOutputs) -> NDArray[np.float64]:
    """Return the credit for each predicted class by each metric, `[N, metrics]`."""
    correct: NDArray[np.float64] = (outputs.predictions == outputs.targets).astype(np.float64)
    columns = [correct] if task.kind == "classes" else [_key_credit(task, outputs), correct]
    return np.stack(columns, axis=1)


def _key_credit(task: Task, outputs: ScoredOutputs) -> NDArray[np.float64]:
    credit: NDArray[np.float64] = musical_keys.credit_matrix(task.classes)[outputs.targets, outputs.predictions]
    return credit
