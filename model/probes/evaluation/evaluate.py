"""Evaluation of one representation on one task: grid search, choice on validation, a single scoring on test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model.probes.config import Grid
from model.probes.evaluation import knn, label_subsets
from model.probes.evaluation.calibration import calibration
from model.probes.evaluation.per_class import per_class_results
from model.probes.evaluation.scoring import (
    MetricEstimate,
    ScoredOutputs,
    estimate_metrics,
    mean_estimate,
    metric_names,
    metric_values,
    scored_outputs,
)
from model.probes.hybrid_slices import slices_of
from model.probes.probe import Probe
from model.probes.song_aggregation import AGGREGATIONS
from model.probes.task import Task
from model.probes.training.grid_search import GridSearch, SearchResult
from stores.features import FeatureStore


@dataclass(frozen=True)
class WinningProbe:
    """The probe of one representation on one task that validation chose, with its scores."""

    task: Task
    """The task, with the columns of the embedding that validation chose."""
    slice_name: str
    """Name of the hybrid slice that validation chose. Empty if the encoder is not a hybrid."""
    columns: slice
    """Columns of that slice in the embedding."""
    search: SearchResult
    """Result of the grid search."""
    aggregation: str
    """Song-level aggregation that validation chose. Empty if clips are scored."""
    valid: dict[str, float]
    """Every metric of the winning probe on validation."""
    test: dict[str, MetricEstimate]
    """Every metric of the winning probe on test."""
    slices: dict[str, dict[str, Any]]
    """For each hybrid slice, which is searched alone, its main metric on validation (`valid`) and every metric on test
    (`test`). Empty if the encoder is not a hybrid."""
    calibration: dict[str, float]
    """Temperature and calibration errors, as `calibration` returns them. Empty for numbers."""


@dataclass(frozen=True)
class RepresentationResult(WinningProbe):
    """The result of one representation on one task."""

    seeds: dict[str, list[float]]
    """Every metric on test for each seed of the winning configuration, its own seed first."""
    knn: dict[str, float]
    """Every metric of the k-NN prediction on test."""
    label_efficiency: list[dict[str, Any]]
    """For each share of the training clips `share`, `clips`, `draws`, the mean `metrics`, and their `intervals`."""
    per_class_results: dict[str, Any]
    """Per-class results on test."""


def find_winning_probe(features: FeatureStore, task_name: str, grid: Grid, search: GridSearch) -> WinningProbe:
    """Search the grid for one representation on one task. Test clips influence no choice.

    Raises:
        InvalidInput: the labels do not make a task, or no probe has a finite validation score.
    """
    full_task = Task.of(features, task_name)
    slices = slices_of(features.provenance, features.embeddings.shape[1])
    searches = []
    for name, columns in slices.items():
        task = full_task.with_features(columns) if name else full_task
        label = f"{search.label} {name}".strip() if search.label else ""
        searches.append((name, task, replace(search, label=label).run(task, grid)))
    slice_name, task, result = max(searches, key=lambda each: each[2].winner.score)  # by validation only
    aggregation = choose_aggregation(task, result.probe)
    valid = scored_outputs(task, "valid", result.probe.outputs(task.splits["valid"].features), aggregation)
    outputs = {split: result.probe.outputs(task.splits[split].features) for split in ("valid", "test")}
    return WinningProbe(
        task=task,
        slice_name=slice_name,
        columns=slices[slice_name],
        search=result,
        aggregation=aggregation,
        valid=metric_values(task, valid),
        test=estimate_metrics(task, _test_outputs(task, result.probe, aggregation)),
        slices={name: _slice_scores(task, result.probe) for name, task, result in searches if name},
        calibration=calibration(task, outputs),
    )


def evaluate_representation(
    features: FeatureStore, task_name: str, grid: Grid, search: GridSearch
) -> RepresentationResult:
    """Evaluate one representation on one task. Test clips influence no choice.

    Raises:
        InvalidInput: the labels do not make a task, or no probe has a finite validation score.
    """
    winning = find_winning_probe(features, task_name, grid, search)
    task, result, aggregation = winning.task, winning.search, winning.aggregation
    quiet_search = replace(search, label="")
    test = _test_outputs(task, result.probe, aggregation)
    other_seeds = _other_seeds(task, grid, result, quiet_search)
    seeds = [test, *(_test_outputs(task, probe, aggregation) for probe in other_seeds)]
    seed_values = [metric_values(task, outputs) for outputs in seeds]
    efficiency = _label_efficiency(task, grid, result, aggregation, quiet_search)
    return RepresentationResult(
        **vars(winning),
        seeds={name: [values[name] for values in seed_values] for name in metric_names(task)},
        knn=metric_values(task, scored_outputs(task, "test", knn.outputs(task, "test"), aggregation)),
        label_efficiency=[*efficiency, _all_train_clips(task, seeds)],
        per_class_results=per_class_results(task, test),
    )


def _slice_scores(task: Task, probe: Probe) -> dict[str, Any]:
    """Return the scores of the winning probe of one slice. They are reported, and influence no choice."""
    aggregation = choose_aggregation(task, probe)
    valid = scored_outputs(task, "valid", probe.outputs(task.splits["valid"].features), aggregation)
    main = metric_names(task)[0]
    return {
        "valid": metric_values(task, valid)[main],
        "test": metric_values(task, _test_outputs(task, probe, aggregation)),
    }


def choose_aggregation(task: Task, probe: Probe) -> str:
    """Return the song-level aggregation that is best on validation, or an empty text if clips are scored.

    The first of several equally good aggregations is chosen.
    """
    valid = task.splits["valid"]
    if valid.songs is None:
        return ""
    outputs, metric = probe.outputs(valid.features), metric_names(task)[0]
    values = {name: metric_values(task, scored_outputs(task, "valid", outputs, name)) for name in AGGREGATIONS}
    return max(AGGREGATIONS, key=lambda name: values[name][metric])


def _test_outputs(task: Task, probe: Probe, aggregation: str) -> ScoredOutputs:
    return scored_outputs(task, "test", probe.outputs(task.splits["test"].features), aggregation)


def _other_seeds(task: Task, grid: Grid, result: SearchResult, search: GridSearch) -> list[Probe]:
    """Train the winning configuration with further seeds."""
    config = result.winner.config
    seeds = [seed for seed in range(grid.seeds) if seed != config.seed][: grid.seeds - 1]
    return search.train_each(task, grid.with_configs(tuple(replace(config, seed=seed) for seed in seeds)))


def _label_efficiency(
    task: Task, grid: Grid, result: SearchResult, aggregation: str, search: GridSearch
) -> list[dict[str, Any]]:
    """Train the winning configuration on label subsets. The validation clips, which stop it, are used whole."""
    rows = []
    for share in label_subsets.SHARES[task.kind] if grid.subsets_per_share else ():
        clips, outputs = [], []
        for seed in range(grid.subsets_per_share):
            subset = task.with_train_clips(label_subsets.label_subset(task, share, seed))
            (probe,) = search.train_each(subset, grid.with_configs((result.winner.config,)))
            clips.append(len(subset.splits["train"].targets))
            outputs.append(_test_outputs(task, probe, aggregation))
        counts = {"share": share, "clips": int(np.mean(clips)), "draws": grid.subsets_per_share}
        rows.append({**counts, **mean_estimate(task, outputs)})
    return rows


def _all_train_clips(task: Task, seeds: list[ScoredOutputs]) -> dict[str, Any]:
    """Return the last row of the label efficiency: all training clips, and the mean over the seeds."""
    clips = len(task.splits["train"].targets)
    return {"share": 1.0, "clips": clips, "draws": len(seeds), **mean_estimate(task, seeds)}
