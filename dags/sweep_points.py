"""runs/NAME.sweep.json: what the runs of a sweep were, how fast, and how well; read by reports.

{format_version, name, command, store, over, fair, clips_seen, points: [
    {value, run, config_digest, store_digests: {DATASET: digest}, batch, steps, masking_ratio, seconds_per_step, loss,
     neighbours, scores: [{dataset, task, representation, metric, value, low, high}]}]}

`value` is a number where the setting is one, `low` and `high` bound the 95 % interval, `seconds_per_step` is the median
over the lines of metrics but the first, `loss` the last one, `neighbours` the last online check or null.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.probes.results.scores import TRAINED, Scores
from model.training import checkpoint, metrics_log
from model.training.config import TrainConfig
from model.training.stream import VIEWS
from stores import locations
from stores.commit import write_json
from stores.errors import CorruptArtifact
from stores.mel_store import MelStore

FORMAT_VERSION = 1
Point = dict[str, Any]


def of_run(value: float | str, run: str, datasets: Sequence[str]) -> Point:
    """What is known of a finished run whose features of `datasets` were probed.

    Raises:
        MissingArtifact, CorruptArtifact: something of it is not there, or not readable.
    """
    config, rows = config_of(run), metrics_log.read(locations.run(run))
    return {
        "value": value,
        "run": run,
        "config_digest": config.digest(),
        "store_digests": digests_of(datasets),
        "batch": config.batch,
        "steps": config.steps,
        "masking_ratio": config.masking_ratio,
        "seconds_per_step": statistics.median(_seconds(rows, config.batch)),
        "loss": rows[-1]["loss"],
        "neighbours": next((row["neighbours"] for row in reversed(rows) if "neighbours" in row), None),
        "scores": [one for dataset in datasets for one in scores_of(run, dataset)],
    }


def scores_of(run: str, dataset: str) -> list[dict[str, Any]]:
    """All scores of a run on a data set; the one place here that knows how `model.probe` writes them."""
    paths = sorted((locations.run(run) / "scores").glob(f"{dataset}.*.json"))
    return [
        {
            "dataset": dataset,
            "task": scores.task,
            "representation": row.representation,
            "metric": name,
            "value": metric.value,
            "low": metric.interval.low,
            "high": metric.interval.high,
        }
        for scores in map(Scores.read, paths)
        for row in scores.rows
        for name, metric in row.metrics.items()
    ]


def config_of(run: str) -> TrainConfig:
    """The settings of a finished run."""
    header = checkpoint.header(locations.run(run) / locations.ENCODER_FILE)
    return TrainConfig.from_dict(json.loads(header["config"]))


def digests_of(datasets: Sequence[str]) -> dict[str, str]:
    """The digest of the mel store of each data set."""
    return {dataset: MelStore.open(locations.mel_store(dataset)).digest() for dataset in datasets}


def read(path: Path) -> list[Point]:
    """The points that are in the file at `path`; none where there is no file.

    Raises:
        CorruptArtifact: the file is no sweep of this version.
    """
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text())
        if content["format_version"] != FORMAT_VERSION:
            raise CorruptArtifact(f"{path} has format {content['format_version']}, this version reads {FORMAT_VERSION}")
        return list(content["points"])
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptArtifact(f"{path} is no sweep: {error!r}; remove it, the runs are kept") from error


def write(path: Path, facts: Mapping[str, Any], points: Sequence[Point]) -> None:
    """Write the sweep, atomically; `facts` are what its docstring names besides the points."""
    write_json(path, {"format_version": FORMAT_VERSION, **facts, "points": list(points)})


def table(over: str, points: Sequence[Point]) -> str:
    """The points as text for a terminal: each value with its speed and the scores of its encoder."""
    probed = list(dict.fromkeys((one["dataset"], one["task"]) for point in points for one in point["scores"]))
    names = "".join(f"{f'{dataset} / {task}':>28}" for dataset, task in probed)
    lines = [f"  {over:>16}{'steps':>9}{'ms a step':>11}{'loss':>8}{names}"]
    for point in points:
        speed = f"{1e3 * point['seconds_per_step']:>11.1f}{point['loss']:>8.3f}"
        scores = "".join(_cell(point, *place) for place in probed)
        lines.append(f"  {point['value']!s:>16}{point['steps']:>9}{speed}{scores}")
    return "\n".join(lines)


def _cell(point: Point, dataset: str, task: str) -> str:
    wanted = (dataset, task, TRAINED)
    for one in point["scores"]:
        if (one["dataset"], one["task"], one["representation"]) == wanted:
            score = f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})"
            return f"{score:>28}"
    return f"{'':>28}"


def _seconds(rows: Sequence[Mapping[str, Any]], batch: int) -> list[float]:
    """Seconds of a step by each line of metrics; the first line's step warms up, and is left out if there are more."""
    return [VIEWS * batch / row["windows_per_second"] for row in rows[1:] or rows]
