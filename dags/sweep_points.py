"""The points of a sweep: what is collected from each finished run, and a table of it for the terminal."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from model.probes.results.scores import TRAINED, Scores
from model.training import checkpoint, metrics_log
from model.training.config import TrainConfig
from model.training.stream import VIEWS
from stores import locations
from stores.mel_store import MelStore
from stores.sweep_file import SweepPoint, SweepScore
from stores.terminal_table import terminal_table


def point_of_run(value: float | str, run: str, datasets: Sequence[str]) -> SweepPoint:
    """Return the settings, speed and scores of a finished run whose features of `datasets` were probed.

    Args:
        value: value of the setting that is swept.
        run: name of the run.
        datasets: names of the datasets that were probed.

    Raises:
        MissingArtifact, CorruptArtifact: something of the run is missing or cannot be read.
    """
    config, rows = config_of(run), metrics_log.read(locations.run(run))
    return SweepPoint(
        value=value,
        run=run,
        config_digest=config.digest(),
        store_digests=store_digests(datasets),
        batch=config.batch,
        steps=config.steps,
        masking_ratio=config.masking_ratio,
        seconds_per_step=seconds_per_step(rows, config.batch),
        loss=rows[-1]["loss"],
        neighbours=next((row["neighbours"] for row in reversed(rows) if "neighbours" in row), None),
        scores=tuple(score for dataset in datasets for score in scores_of_run(run, dataset)),
    )


def scores_of_run(run: str, dataset: str) -> list[SweepScore]:
    """Return all scores of a run on a dataset, as `model.probe` wrote them."""
    paths = sorted((locations.run(run) / "scores").glob(f"{dataset}.*.json"))
    return [
        SweepScore(
            dataset=dataset,
            task=scores.task,
            representation=row.representation,
            metric=name,
            value=metric.value,
            low=metric.interval.low,
            high=metric.interval.high,
        )
        for scores in map(Scores.read, paths)
        for row in scores.rows
        for name, metric in row.metrics.items()
    ]


def config_of(run: str) -> TrainConfig:
    """Return the settings of a finished run."""
    return checkpoint.read_config(locations.run(run) / locations.ENCODER_FILE)


def store_digests(datasets: Sequence[str]) -> dict[str, str]:
    """Return the digest of the mel store of each dataset."""
    return {dataset: MelStore.open(locations.mel_store(dataset)).digest() for dataset in datasets}


def seconds_per_step(rows: Sequence[Mapping[str, Any]], batch: int) -> float:
    """Return the median over the lines of metrics, without the first line, which includes warm-up."""
    return float(statistics.median(VIEWS * batch / row["windows_per_second"] for row in rows[1:] or rows))


def text_table(over: str, points: Sequence[SweepPoint]) -> str:
    """Return a table for the terminal: each value with its speed and the scores of its encoder.

    Args:
        over: name of the setting.
        points: rows of the table.
    """
    probed = list(dict.fromkeys((score.dataset, score.task) for point in points for score in point.scores))
    head = (over, "steps", "ms per step", "loss", *(f"{dataset} / {task}" for dataset, task in probed))
    rows = [
        [
            str(point.value),
            str(point.steps),
            f"{1e3 * point.seconds_per_step:.1f}",
            f"{point.loss:.3f}",
            *(_cell(point, dataset, task) for dataset, task in probed),
        ]
        for point in points
    ]
    return "\n".join(terminal_table(head, rows))


def _cell(point: SweepPoint, dataset: str, task: str) -> str:
    for score in point.scores:
        if (score.dataset, score.task, score.representation) == (dataset, task, TRAINED):
            return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"
    return ""
