"""The score table of one task: every representation with its interval, chance, and the trained one's lead over each."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.probes.config import QUICK, Grid
from model.probes.evaluation import dummy_baselines
from model.probes.evaluation.bootstrap import Interval
from model.probes.evaluation.evaluate import Evaluation, evaluate
from model.probes.evaluation.scoring import MetricEstimate, scored
from model.probes.task import SPLITS, Task
from model.probes.training.grid_search import GridSearch
from stores.commit import write_json
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.features import FeatureStore

TRAINED = "trained"
FORMAT_VERSION = 2


@dataclass(frozen=True)
class Metric:
    """One metric of one representation on the test split."""

    value: float
    """Of the probe that validation chose."""
    interval: Interval
    """95 %, over groups."""
    lead: Interval | None
    """95 % of (trained - this), paired over groups; None for the trained one itself."""
    seeds: tuple[float, ...] = ()
    """Of the same probe with each seed, its own first; empty where only one was scored."""
    neighbours: float | None = None
    """Of the nearest neighbours instead of a probe; None if they were not asked."""

    @property
    def spread(self) -> float:
        """Standard deviation over seeds; 0 for one."""
        return float(np.std(self.seeds, ddof=1)) if len(self.seeds) > 1 else 0.0


@dataclass(frozen=True)
class RepresentationScores:
    """One representation."""

    representation: str
    """Its name."""
    width: int
    """Features that the probe reads."""
    part: str
    """Part of a hybrid's embedding that validation chose: `concatenated`, `square`, `vertical`; else empty."""
    config: dict[str, Any]
    """Settings of the probe that validation chose."""
    vote: str
    """How clips become songs, chosen on validation; empty where clips are scored."""
    valid: dict[str, float]
    """Every metric on validation."""
    metrics: dict[str, Metric]
    """Every metric on test, the most important first."""
    search: dict[str, int] = field(default_factory=dict)
    """How many probes of the grid ended for which reason."""
    efficiency: tuple[dict[str, Any], ...] = ()
    """For each share of the training clips: `share`, `clips`, `draws`, mean `metrics` on test and their `intervals`;
    the last were not measured before."""
    details: dict[str, Any] = field(default_factory=dict)
    """Class by class; see `details`."""

    @property
    def main(self) -> Metric:
        """The most important metric."""
        return next(iter(self.metrics.values()))


@dataclass(frozen=True)
class Scores:
    """One task on one dataset."""

    dataset: str
    """Name of the dataset."""
    run: str
    """Name of the run whose encoder is `trained`."""
    task: str
    """Name of the task."""
    kind: str
    """`classes`, `key`, `tags` or `numbers`."""
    grid: str
    """`full` (the paper's protocol), `quick`, or how else the probes were found."""
    probes: int
    """Probes that were trained for each part of a representation."""
    classes: tuple[str, ...]
    """Labels."""
    clips: dict[str, int]
    """Labelled clips by split."""
    songs: dict[str, int]
    """Recordings by split, where several clips of one are scored as one; else empty."""
    test_groups: int
    """Pieces or songs among the test clips."""
    chance: dict[str, float]
    """Every metric of guessing evenly."""
    majority: dict[str, float]
    """Every metric of always saying what is most frequent, or the mean, in train."""
    rows: tuple[RepresentationScores, ...]
    """The trained representation first."""
    provenance: dict[str, str]
    """Digest of each representation's features."""
    format_version: int = FORMAT_VERSION
    """Of this file."""

    @property
    def metric(self) -> str:
        """Name of the most important metric."""
        return next(iter(self.rows[0].metrics))

    def write(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Scores:
        """Read what `write` wrote.

        Raises:
            MissingArtifact: nothing there.
            CorruptArtifact: not such a file.
        """
        if not path.is_file():
            raise MissingArtifact(f"no scores at {path}; make them with `python -m model.probe DATASET`")
        try:
            content = json.loads(path.read_text())
            if content["format_version"] != FORMAT_VERSION:
                raise ValueError(f"format_version is {content['format_version']}")
            rows = tuple(_row(row) for row in content.pop("rows"))
            return cls(**{**content, "classes": tuple(content["classes"]), "rows": rows})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CorruptArtifact(f"{path} does not hold scores of this version: {error}; probe again") from error


def evaluate_each(
    task: str, features: Mapping[str, FeatureStore], grid: Grid, search: Callable[[str], GridSearch]
) -> dict[str, Evaluation]:
    """Probe every representation on `task`, the trained one first.

    Args:
        task: its name.
        features: by representation; `trained` must be among them.
        grid: the probes that are tried.
        search: from a representation's name to how they are trained.

    Raises:
        InvalidInput: the task cannot be probed, or representations have other clips.
    """
    names = sorted(features, key=lambda name: name != TRAINED)  # the trained one first, the others as they came
    _require_same_clips({name: features[name] for name in names})
    return {name: evaluate(features[name], task, grid, search(name)) for name in names}


def score(
    task: str,
    dataset: str,
    run: str,
    features: Mapping[str, FeatureStore],
    grid: Grid = QUICK,
    found: Mapping[str, Evaluation] | None = None,
) -> Scores:
    """The scores of every representation on `task`.

    Args:
        task: name of the task.
        dataset: name of the dataset.
        run: name of the run.
        features: by representation; `trained` must be among them.
        grid: the probes that are tried.
        found: what `evaluate_each` found; it is called, on the CPU in float32, if None.

    Raises:
        InvalidInput: the task cannot be probed, or representations have other clips.
    """
    if found is None:
        found = evaluate_each(task, features, grid, lambda _: GridSearch(torch.device("cpu"), torch.float32))
    rows = tuple(_measured(name, one, found[TRAINED]) for name, one in found.items())
    digests = {name: str(store.provenance["digest"]) for name, store in features.items()}
    return table_of(found[TRAINED].task, (dataset, run), (grid.name, len(grid.configs)), rows, digests)


def table_of(
    task: Task,
    whose: tuple[str, str],
    how: tuple[str, int],
    rows: tuple[RepresentationScores, ...],
    provenance: dict[str, str],
) -> Scores:
    """Scores of `task` with these rows, and what guessing would score.

    Args:
        task: of the trained representation.
        whose: dataset and run.
        how: name of the grid, and how many probes it has.
        rows: the trained representation first.
        provenance: digest of each representation's features.
    """
    blank = np.zeros((len(task.splits["test"].targets), len(task.classes)), np.float32)
    test = scored(task, "test", blank, "vote" if task.splits["test"].songs is not None and rows[0].vote else "")
    return Scores(
        dataset=whose[0],
        run=whose[1],
        task=task.name,
        kind=task.kind,
        grid=how[0],
        probes=how[1],
        classes=task.classes,
        clips={split: len(task.splits[split].targets) for split in SPLITS},
        songs={} if not rows[0].vote else {split: _songs(task, split) for split in SPLITS},
        test_groups=int(task.splits["test"].groups.max()) + 1,
        chance=dummy_baselines.chance(task, test),
        majority=dummy_baselines.majority(task, test),
        rows=rows,
        provenance=provenance,
    )


def _songs(task: Task, split: str) -> int:
    part = task.splits[split]
    return len(part.targets) if part.songs is None else int(part.songs.max()) + 1


def _measured(name: str, found: Evaluation, trained: Evaluation) -> RepresentationScores:
    ended = [one.stopped for one in found.winner.every]
    return RepresentationScores(
        representation=name,
        width=found.task.splits["test"].features.shape[1],
        part=found.part,
        config=found.winner.trained.config.to_dict(),
        vote=found.vote,
        valid=found.valid,
        metrics={
            metric: Metric(
                value=one.value,
                interval=Interval.of(one.draws),
                lead=None if found is trained else paired_difference(trained.test[metric], one),
                seeds=tuple(found.seeds[metric]),
                neighbours=found.knn[metric],
            )
            for metric, one in found.test.items()
        },
        search={reason: ended.count(reason) for reason in sorted(set(ended))},
        efficiency=tuple(found.efficiency),
        details=found.per_class_results,
    )


def paired_difference(trained: MetricEstimate, other: MetricEstimate) -> Interval:
    """95 % interval of (trained - other), over the same draws of groups."""
    return Interval.of(trained.draws - other.draws)


def _require_same_clips(features: Mapping[str, FeatureStore]) -> None:
    """Intervals of leads are paired, so every representation must have the same clips in the same order."""
    expected = [(row.id, row.split, row.group, row.labels) for row in features[TRAINED].rows]
    for name, store in features.items():
        if [(row.id, row.split, row.group, row.labels) for row in store.rows] != expected:
            raise InvalidInput(
                f"the features {name!r} are of other clips, splits or labels than those of {TRAINED!r}; make both anew"
            )


def _row(content: dict[str, Any]) -> RepresentationScores:
    metrics = {name: _metric(one) for name, one in content["metrics"].items()}
    return RepresentationScores(**{**content, "metrics": metrics, "efficiency": tuple(content["efficiency"])})


def _metric(content: dict[str, Any]) -> Metric:
    lead = content["lead"] and Interval(**content["lead"])
    numbers = [content["value"], *content["interval"].values(), *content["seeds"]]
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in numbers):
        raise ValueError("a score is not a finite number")
    between = Interval(**content["interval"])
    return Metric(**{**content, "interval": between, "lead": lead, "seeds": tuple(content["seeds"])})
