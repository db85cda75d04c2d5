"""The scores of several runs on the same tasks, with paired intervals of their differences.

The winning probes are applied to the test clips again. All runs have the same bootstrap replicates, so an interval of a
difference is that of the same clips and not of two separate samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.probes.evaluation.bootstrap import Interval
from model.probes.evaluation.scoring import MetricEstimate, estimate_metrics, scored_outputs
from model.probes.probe import Probe
from model.probes.results import score_validation
from model.probes.results.scores import TRAINED, Scores, paired_difference
from model.probes.results.winning_probe import probe_path
from model.probes.task import Task
from stores import feature_labels, locations
from stores.errors import DigestMismatch, InvalidInput
from stores.features import FeatureStore
from stores.mel_store import MelStore


@dataclass(frozen=True)
class RunScore:
    """One metric of one run."""

    value: float
    """Value on test."""
    interval: Interval
    """95 % confidence interval of the value."""
    difference: Interval | None
    """95 % confidence interval of this run minus the first run. None for the first run."""


@dataclass(frozen=True)
class ComparedMetric:
    """One metric that all runs have."""

    dataset: str
    """Name of the dataset."""
    task: str
    """Name of the task."""
    metric: str
    """Name of the metric."""
    test_clips: int
    """Number of test clips."""
    runs: Mapping[str, RunScore]
    """Score of each run, in the order in which the runs were stated."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "dataset": self.dataset,
            "task": self.task,
            "metric": self.metric,
            "test_clips": self.test_clips,
            "runs": {name: _score_values(score) for name, score in self.runs.items()},
        }

    def words(self, run: str) -> str:
        """Return the verdict on a run that is not the first: significantly better, worse, or neither."""
        difference = self.runs[run].difference
        assert difference is not None
        if difference.low > 0:
            return "significantly better"
        return "significantly worse" if difference.high < 0 else "no significant difference"


def compare_scores(runs: Sequence[str]) -> list[ComparedMetric]:
    """Return all metrics of the tasks that all runs have scores of.

    Raises:
        InvalidInput: the runs were scored on other clips or labels of a task.
        DigestMismatch: the features or the probe of a run have changed since it was scored.
        MissingArtifact: the features, the probe or the mel store of a run are missing.
    """
    scores = {run: _scores(run) for run in runs}
    shared = [key for key in scores[runs[0]] if all(key in of_run for of_run in scores.values())]
    compared = []
    for dataset, task in shared:
        of_task = {run: scores[run][dataset, task] for run in runs}
        if len({one.labels for one in of_task.values()}) > 1:
            raise InvalidInput(
                f"the runs were scored with other labels or splits of {dataset} / {task}; run `python -m model.probe "
                f"{dataset}` again for each of them"
            )
        compared += _compare_task(of_task)
    return compared


def _scores(run: str) -> dict[tuple[str, str], Scores]:
    files = sorted((locations.run(run) / "scores").glob("*.*.json"))
    scores = [score_validation.read(path) for path in files if path.name.count(".") == 2]
    return {(one.dataset, one.task): one for one in scores}


def _compare_task(scores: Mapping[str, Scores]) -> list[ComparedMetric]:
    estimates = {run: _estimates(one) for run, one in scores.items()}
    first, reference = next(iter(scores.items()))
    metrics = []
    for metric in reference.rows[0].metrics:
        runs = {
            run: RunScore(
                one[metric].value,
                Interval.of(one[metric].replicates).including(one[metric].value),
                None if run == first else paired_difference(one[metric], estimates[first][metric]),
            )
            for run, one in estimates.items()
        }
        metrics.append(ComparedMetric(reference.dataset, reference.task, metric, reference.clips["test"], runs))
    return metrics


def _estimates(scores: Scores) -> dict[str, MetricEstimate]:
    """Return every metric of a run on a task with its replicates, computed again from its probe."""
    path = locations.feature_store(scores.dataset, scores.run)
    features = FeatureStore.read(path)
    if features.provenance.get("digest") != scores.provenance[TRAINED]:
        raise DigestMismatch(
            f"{path} has changed since {scores.run} was scored; run model.probe {scores.dataset} again"
        )
    recorded, usual = features.mel_store, locations.mel_store(scores.dataset)
    store = MelStore.open(recorded if recorded and recorded.is_dir() else usual)
    labeled = feature_labels.join(features, store, path)
    probe = Probe.read(probe_path(scores.run, scores.dataset, scores.task, TRAINED))
    start, stop = probe.metadata["columns"]
    task = Task.of(labeled, scores.task)
    outputs = probe.outputs(task.splits["test"].features[:, start:stop])
    return estimate_metrics(task, scored_outputs(task, "test", outputs, probe.metadata["vote"]))


def _score_values(score: RunScore) -> dict[str, Any]:
    difference = score.difference and [score.difference.low, score.difference.high]
    return {"value": score.value, "interval": [score.interval.low, score.interval.high], "difference": difference}
