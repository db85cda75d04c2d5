"""runs/NAME.sweep.json as `dags.sweep` writes it, read and checked: runs that differ in one setting.

What the file holds stands in `model.page.sweep_file`; here are only the parts that the page tells.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.probes.results.scores import TRAINED
from stores.commit import read_bounded
from stores.errors import CorruptArtifact

FORMAT_VERSION = 1
_MOST_BYTES = 16_000_000
_UNTRAINED = "untrained"


@dataclass(frozen=True)
class PointScore:
    """A test score of a run of the sweep."""

    dataset: str
    """Probed on this."""
    task: str
    """Name of the task."""
    metric: str
    """Name of the metric."""
    value: float
    """Of one representation."""
    low: float
    """Of its 95 % interval."""
    high: float
    """Of its 95 % interval."""


@dataclass(frozen=True)
class SweepPoint:
    """A run of the sweep."""

    value: float | str
    """Of the setting."""
    run: str
    """Its name."""
    batch: int
    """Clips of a step."""
    steps: int
    """Of the run."""
    seconds_per_step: float
    """Median."""
    loss: float
    """The last one."""
    scores: tuple[PointScore, ...]
    """Of the trained representation."""
    untrained: tuple[PointScore, ...]
    """Of the same encoder before training, where it was probed."""


@dataclass(frozen=True)
class SweepResults:
    """Runs that differ in one setting."""

    name: str
    """Of the sweep."""
    command: str
    """That makes it."""
    store: str
    """What its runs were trained on."""
    over: str
    """The setting, e.g. `masking_ratio`."""
    fair: str
    """What is held equal, in words."""
    clips_seen: int
    """By every run."""
    points: tuple[SweepPoint, ...]
    """In the order of the values as they were asked for."""


def all_of(folder: Path) -> tuple[SweepResults, ...]:
    """All sweeps with a point that lie in a folder, by name.

    Raises:
        CorruptArtifact: one of them is not what `dags.sweep` writes.
    """
    found = [read(path) for path in sorted(folder.glob("*.sweep.json"))]
    return tuple(one for one in found if one.points)


def read(path: Path) -> SweepResults:
    """One sweep.

    Raises:
        CorruptArtifact: it is not what `dags.sweep` writes.
    """
    try:
        content = json.loads(read_bounded(path, _MOST_BYTES))
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format_version is {content['format_version']}")
        if path.name != f"{content['name']}.sweep.json":
            raise ValueError(f"it is the sweep {content['name']!r}, which is not what its name says")
        texts = {name: str(content[name]) for name in ("name", "command", "store", "over", "fair")}
        points = tuple(_point(one) for one in content["points"])
        return SweepResults(**texts, clips_seen=int(content["clips_seen"]), points=points)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptArtifact(f"{path} is no sweep of this version: {error!r}; remove it, the runs are kept") from error


def _point(content: Mapping[str, Any]) -> SweepPoint:
    value = content["value"]
    return SweepPoint(
        value=_finite(value) if isinstance(value, int | float) else str(value),
        run=str(content["run"]),
        batch=int(content["batch"]),
        steps=int(content["steps"]),
        seconds_per_step=_finite(content["seconds_per_step"]),
        loss=_finite(content["loss"]),
        scores=_scores(content, TRAINED),
        untrained=_scores(content, _UNTRAINED),
    )


def _scores(content: Mapping[str, Any], representation: str) -> tuple[PointScore, ...]:
    return tuple(_score(one) for one in content["scores"] if one["representation"] == representation)


def _score(content: Mapping[str, Any]) -> PointScore:
    dataset, task, metric = (str(content[name]) for name in ("dataset", "task", "metric"))
    value, low, high = (_finite(content[name]) for name in ("value", "low", "high"))
    return PointScore(dataset, task, metric, value, low, high)


def _finite(value: Any) -> float:
    if not math.isfinite(number := float(value)):
        raise ValueError(f"{value} is not a finite number")
    return number
