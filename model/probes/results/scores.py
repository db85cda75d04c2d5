"""The scores of one task: every representation with its confidence interval, and the dummy baselines.

The paired difference between the trained representation and each other one is stored with the other one, as `lead`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.probes.config import QUICK, Grid
from model.probes.evaluation import dummy_baselines
from model.probes.evaluation.bootstrap import Interval
from model.probes.evaluation.evaluate import RepresentationResult, evaluate_representation
from model.probes.evaluation.scoring import MetricEstimate, scored_outputs
from model.probes.label_digest import label_digest
from model.probes.labeled_clips import SPLITS
from model.probes.task import Task
from model.probes.training.grid_search import GridSearch
from stores.commit import write_json
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.features import FeatureStore
from stores.json_codec import read_json
from stores.manifest import ClipRow, ClipRows

TRAINED = "trained"
_COMPARED = ("id", "split", "group", "labels")
FORMAT_VERSION = 2
MAX_BYTES = 64 << 20
"""Largest file of scores that is read. One with 50 tags has about 100 kB."""


@dataclass(frozen=True)
class Metric:
    """One metric of one representation on the test split."""

    value: float
    """Value of the probe that validation chose."""
    interval: Interval
    """95 % confidence interval of the value, over groups."""
    lead: Interval | None
    """95 % confidence interval of the paired difference (trained - this). None for the trained representation."""
    seeds: tuple[float, ...] = ()
    """Value for each seed of the winning configuration, its own seed first. Empty if there was only one seed."""
    neighbours: float | None = None
    """Value of the k-NN prediction. None if it was not computed."""

    @property
    def seed_deviation(self) -> float:
        """Standard deviation over the seeds, or 0 if there are fewer than two."""
        return float(np.std(self.seeds, ddof=1)) if len(self.seeds) > 1 else 0.0


@dataclass(frozen=True)
class RepresentationScores:
    """The scores of one representation."""

    representation: str
    """Name of the representation."""
    width: int
    """Number of features that the probe reads."""
    part: str
    """Hybrid slice that validation chose: `concatenated`, `square` or `vertical`. Empty if there are no slices."""
    config: dict[str, Any]
    """Settings of the probe that validation chose."""
    vote: str
    """Song-level aggregation that validation chose. Empty if clips are scored."""
    valid: dict[str, float]
    """Every metric on validation."""
    metrics: dict[str, Metric]
    """Every metric on test, the main metric first."""
    search: dict[str, int] = field(default_factory=dict)
    """Number of probes of the grid by the reason why they stopped."""
    efficiency: tuple[dict[str, Any], ...] = ()
    """Label efficiency: for each share of the training clips `share`, `clips`, `draws`, mean `metrics` on test, and
    `intervals`, which are missing in older files."""
    details: dict[str, Any] = field(default_factory=dict)
    """Per-class results on test, as `per_class_results` returns them."""
    slices: dict[str, Any] = field(default_factory=dict)
    """For each slice of a hybrid encoder its main metric on validation (`valid`) and every metric on test (`test`).
    `part` is the one that validation chose. Empty without slices, and in files of earlier versions."""
    calibration: dict[str, float] = field(default_factory=dict)
    """Temperature that validation chose (`temperature`), and the expected calibration error on test before and after it
    (`error_before`, `error_after`, `clips`). Empty for numbers, and in files of earlier versions."""

    @property
    def main(self) -> Metric:
        """The main metric."""
        return next(iter(self.metrics.values()))


@dataclass(frozen=True)
class Scores:
    """The scores of all representations on one task of one dataset."""

    dataset: str
    """Name of the dataset."""
    run: str
    """Name of the run with the encoder of the representation `trained`."""
    task: str
    """Name of the task."""
    kind: str
    """`classes`, `key`, `tags` or `numbers`."""
    grid: str
    """`full` (the paper's protocol), `quick`, or a description of another method."""
    probes: int
    """Number of probes in the grid, which is searched for each slice of a representation."""
    classes: tuple[str, ...]
    """Names of the classes, tags or numbers."""
    clips: dict[str, int]
    """Number of labeled clips by split."""
    songs: dict[str, int]
    """Number of recordings by split if songs are scored, else empty."""
    test_groups: int
    """Number of groups (pieces or songs) among the test clips."""
    chance: dict[str, float]
    """Every metric of guessing with equal probability."""
    majority: dict[str, float]
    """Every metric of always predicting the most frequent training class, or the training mean."""
    rows: tuple[RepresentationScores, ...]
    """Scores of each representation, the trained one first."""
    provenance: dict[str, str]
    """Digest of the features of each representation."""
    labels: str = ""
    """Digest of the labels, splits and groups of the task. Empty in files of earlier versions."""
    format_version: int = FORMAT_VERSION
    """Version of the file format."""

    @property
    def metric(self) -> str:
        """Name of the main metric."""
        return next(iter(self.rows[0].metrics))

    def write(self, path: Path) -> None:
        """Write the scores as JSON, atomically."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Scores:
        """Return the scores in the file `path`, which `write` has written.

        Raises:
            MissingArtifact: there is no such file.
            CorruptArtifact: the file does not hold scores of this version.
        """
        if not path.is_file():
            raise MissingArtifact(f"no scores at {path}; make them with `python -m model.probe DATASET`")
        try:
            content = read_json(path, MAX_BYTES)
            if content["format_version"] != FORMAT_VERSION:
                raise ValueError(f"format_version is {content['format_version']}")
            rows = tuple(_read_row(row) for row in content.pop("rows"))
            return cls(**{**content, "classes": tuple(content["classes"]), "rows": rows})
        except (CorruptArtifact, ValueError, TypeError, KeyError, AttributeError) as error:
            raise CorruptArtifact(
                f"{path} does not hold scores of this version: {error}; run `python -m model.probe` again"
            ) from error


def evaluate_representations(
    task: str, features: Mapping[str, FeatureStore], grid: Grid, search: Callable[[str], GridSearch]
) -> dict[str, RepresentationResult]:
    """Evaluate every representation on a task, the trained one first.

    Args:
        task: name of the task.
        features: features of each representation, among them `trained`.
        grid: probes that are searched.
        search: function from the name of a representation to its search.

    Raises:
        InvalidInput: the labels do not make a task, or representations have different clips.
    """
    names = sorted(features, key=lambda name: name != TRAINED)  # a stable sort, so the others keep their order
    _require_same_clips({name: features[name] for name in names})
    return {name: evaluate_representation(features[name], task, grid, search(name)) for name in names}


def score_representations(
    task: str,
    dataset: str,
    run: str,
    features: Mapping[str, FeatureStore],
    grid: Grid = QUICK,
    results: Mapping[str, RepresentationResult] | None = None,
) -> Scores:
    """Return the scores of every representation on a task.

    Args:
        task: name of the task.
        dataset: name of the dataset.
        run: name of the run.
        features: features of each representation, among them `trained`.
        grid: probes that are searched.
        results: results of `evaluate_representations` (default: they are computed on the CPU in float32).

    Raises:
        InvalidInput: the labels do not make a task, or representations have different clips.
    """
    if results is None:
        results = evaluate_representations(
            task, features, grid, lambda _: GridSearch(torch.device("cpu"), torch.float32)
        )
    trained = results[TRAINED]
    rows = tuple(_representation_scores(name, result, trained) for name, result in results.items())
    digests = {name: str(store.provenance["digest"]) for name, store in features.items()}
    scores = build_scores(trained.task, (dataset, run), (grid.name, len(grid.configs)), rows, digests)
    return replace(scores, labels=label_digest(features[TRAINED].clips, task))


def build_scores(
    task: Task,
    dataset_and_run: tuple[str, str],
    grid: tuple[str, int],
    rows: tuple[RepresentationScores, ...],
    provenance: dict[str, str],
) -> Scores:
    """Return the scores of `task` with these rows and the dummy baselines.

    Args:
        task: task with the features of the trained representation.
        dataset_and_run: names of the dataset and the run.
        grid: name of the grid, and its number of probes.
        rows: scores of each representation, the trained one first.
        provenance: digest of the features of each representation.
    """
    blank = np.zeros((len(task.splits["test"].targets), len(task.classes)), np.float32)
    by_song = task.splits["test"].songs is not None and rows[0].vote
    test = scored_outputs(task, "test", blank, "vote" if by_song else "")
    return Scores(
        dataset=dataset_and_run[0],
        run=dataset_and_run[1],
        task=task.name,
        kind=task.kind,
        grid=grid[0],
        probes=grid[1],
        classes=task.classes,
        clips={split: len(task.splits[split].targets) for split in SPLITS},
        songs={} if not rows[0].vote else {split: _song_count(task, split) for split in SPLITS},
        test_groups=int(task.splits["test"].groups.max()) + 1,
        chance=dummy_baselines.chance(task, test),
        majority=dummy_baselines.majority(task, test),
        rows=rows,
        provenance=provenance,
    )


def paired_difference(trained: MetricEstimate, other: MetricEstimate) -> Interval:
    """Return the 95 % confidence interval of (trained - other), on the same bootstrap replicates."""
    return Interval.of(trained.replicates - other.replicates)


def _song_count(task: Task, split: str) -> int:
    clips = task.splits[split]
    return len(clips.targets) if clips.songs is None else int(clips.songs.max()) + 1


def _representation_scores(
    name: str, result: RepresentationResult, trained: RepresentationResult
) -> RepresentationScores:
    reasons = [probe.stopped for probe in result.search.trained]
    return RepresentationScores(
        representation=name,
        width=result.task.splits["test"].features.shape[1],
        part=result.slice_name,
        config=result.search.winner.config.to_dict(),
        vote=result.aggregation,
        valid=result.valid,
        metrics={
            metric: Metric(
                value=estimate.value,
                interval=Interval.of(estimate.replicates).including(estimate.value),
                lead=None if result is trained else paired_difference(trained.test[metric], estimate),
                seeds=tuple(result.seeds[metric]),
                neighbours=result.knn[metric],
            )
            for metric, estimate in result.test.items()
        },
        search={reason: reasons.count(reason) for reason in sorted(set(reasons))},
        efficiency=tuple(result.label_efficiency),
        details=result.per_class_results,
        slices=result.slices,
        calibration=result.calibration,
    )


def _require_same_clips(features: Mapping[str, FeatureStore]) -> None:
    """Check that all representations have the same clips in the same order, because differences are paired."""
    expected = features[TRAINED].rows
    for name, store in features.items():
        if not _are_same_clips(store.rows, expected):
            raise InvalidInput(
                f"the features {name!r} and {TRAINED!r} differ in their clips, splits, groups or labels; extract both "
                "again from the same mel store"
            )


def _are_same_clips(rows: Sequence[ClipRow], expected: Sequence[ClipRow]) -> bool:
    if rows is expected:
        return True
    if isinstance(rows, ClipRows) and isinstance(expected, ClipRows):
        return bool(rows.table(_COMPARED).equals(expected.table(_COMPARED)))
    values = ([[getattr(row, name) for name in _COMPARED] for row in each] for each in (rows, expected))
    return next(values) == next(values)


def _read_row(content: dict[str, Any]) -> RepresentationScores:
    metrics = {name: _read_metric(metric) for name, metric in content["metrics"].items()}
    return RepresentationScores(**{**content, "metrics": metrics, "efficiency": tuple(content["efficiency"])})


def _read_metric(content: dict[str, Any]) -> Metric:
    lead = content["lead"] and Interval(**content["lead"])
    numbers = [content["value"], *content["interval"].values(), *content["seeds"]]
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        raise ValueError("a score is not a finite number")
    interval = Interval(**content["interval"])
    return Metric(**{**content, "interval": interval, "lead": lead, "seeds": tuple(content["seeds"])})
