"""One representation on one task: search, choose on validation, score once on test, and how far to believe it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model.probes.config import Grid
from model.probes.evaluation import knn, label_subsets
from model.probes.evaluation.per_class import per_class_results
from model.probes.evaluation.scoring import (
    MetricEstimate,
    ScoredOutputs,
    estimate_metrics,
    mean_of,
    metric_names,
    point,
    scored,
)
from model.probes.hybrid_slices import parts_of
from model.probes.probe import Probe
from model.probes.song_aggregation import VOTES
from model.probes.task import Task
from model.probes.training.grid_search import GridSearch, Winner
from stores.features import FeatureStore


@dataclass(frozen=True)
class Evaluation:
    """What was found."""

    task: Task
    """On the part of the embedding that validation chose."""
    part: str
    """Its name; empty where an embedding has no parts."""
    columns: slice
    """Where it stands in the embedding."""
    winner: Winner
    """The probe that validation chose."""
    vote: str
    """How clips become songs; empty where clips are scored."""
    valid: dict[str, float]
    """Every metric of the winner on validation."""
    test: dict[str, MetricEstimate]
    """Every metric of the winner on test."""
    seeds: dict[str, list[float]]
    """Every metric on test with each of the seeds, the winner's own first."""
    knn: dict[str, float]
    """Every metric on test of the k nearest neighbours."""
    efficiency: list[dict[str, Any]]
    """For each share of the training clips: `share`, `clips`, `draws`, mean `metrics` over draws and `intervals`."""
    per_class_results: dict[str, Any]
    """Class by class, on test."""


def evaluate(features: FeatureStore, task_name: str, grid: Grid, search: GridSearch) -> Evaluation:
    """Everything about one representation on one task; nothing is chosen by what is seen of test.

    Raises:
        InvalidInput: the task cannot be probed.
    """
    whole = Task.of(features, task_name)
    parts = parts_of(features.provenance, features.embeddings.shape[1])
    found = []
    for name, columns in parts.items():
        task = whole.with_features(columns) if name else whole
        label = f"{search.label} {name}".strip() if search.label else ""
        found.append((name, task, replace(search, label=label).best(task, grid)))
    part, task, winner = max(found, key=lambda one: one[2].trained.score)
    vote = chosen_vote(task, winner.head)
    again = replace(search, label="")
    test = _on_test(task, winner.head, vote)
    seeds = [test, *(_on_test(task, head, vote) for head in _other_seeds(task, grid, winner, again))]
    points = [point(task, one) for one in seeds]
    return Evaluation(
        task=task,
        part=part,
        columns=parts[part],
        winner=winner,
        vote=vote,
        valid=point(task, scored(task, "valid", winner.head.outputs(task.splits["valid"].features), vote)),
        test=estimate_metrics(task, test),
        seeds={name: [one[name] for one in points] for name in metric_names(task)},
        knn=point(task, scored(task, "test", knn.outputs(task, "test"), vote)),
        efficiency=[*_efficiency(task, grid, winner, vote, again), _all_clips(task, seeds)],
        per_class_results=per_class_results(task, test),
    )


def chosen_vote(task: Task, head: Probe) -> str:
    """The vote that is best on validation, the first of several; empty where clips are scored."""
    valid = task.splits["valid"]
    if valid.songs is None:
        return ""
    outputs, metric = head.outputs(valid.features), metric_names(task)[0]
    return max(VOTES, key=lambda vote: point(task, scored(task, "valid", outputs, vote))[metric])


def _on_test(task: Task, head: Probe, vote: str) -> ScoredOutputs:
    return scored(task, "test", head.outputs(task.splits["test"].features), vote)


def _other_seeds(task: Task, grid: Grid, winner: Winner, search: GridSearch) -> list[Probe]:
    config = winner.trained.config
    others = [seed for seed in range(grid.seeds) if seed != config.seed][: grid.seeds - 1]
    return search.each(task, grid.of(tuple(replace(config, seed=seed) for seed in others)))


def _efficiency(task: Task, grid: Grid, winner: Winner, vote: str, search: GridSearch) -> list[dict[str, Any]]:
    """The winner's configuration with fewer training clips; validation, which stops it, stays whole."""
    rows = []
    for share in label_subsets.SHARES[task.kind]:
        clips, found = [], []
        for seed in range(grid.draws):
            fewer = task.with_train(label_subsets.share_of(task, share, seed))
            (head,) = search.each(fewer, grid.of((winner.trained.config,)))
            clips.append(len(fewer.splits["train"].targets))
            found.append(_on_test(task, head, vote))
        rows.append({"share": share, "clips": int(np.mean(clips)), "draws": grid.draws, **mean_of(task, found)})
    return rows


def _all_clips(task: Task, seeds: list[ScoredOutputs]) -> dict[str, Any]:
    clips = len(task.splits["train"].targets)
    return {"share": 1.0, "clips": clips, "draws": len(seeds), **mean_of(task, seeds)}
