"""Validation of a file of scores: checks everything that the report and its exports read before they read it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.probes.evaluation.scoring import AVERAGED_METRICS
from model.probes.results.scores import Metric, RepresentationScores, Scores
from stores.errors import CorruptArtifact

_TOLERANCE = 1e-9  # of rounding


def read(path: Path) -> Scores:
    """Return the scores in the file `path`.

    Raises:
        MissingArtifact: there is no such file.
        CorruptArtifact: the file does not hold scores, holds those of another task than its name states, or holds
            values that do not fit together.
    """
    scores = Scores.read(path)
    try:
        if path.name != f"{scores.dataset}.{scores.task}.json":
            raise ValueError(
                f"they belong to {scores.dataset!r} / {scores.task!r}, but the file name states another task"
            )
        _require_metrics(scores)
        for row in scores.rows:
            _require_per_class_results(row.details, len(scores.classes))
            _require_label_efficiency(row, scores.rows[0])
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise CorruptArtifact(
            f"{path} does not hold scores of this version: {error}; run `python -m model.probe` again"
        ) from error
    return scores


def _require_metrics(scores: Scores) -> None:
    names = list(scores.rows[0].metrics)
    if len(names) < AVERAGED_METRICS[scores.kind]:
        raise ValueError(f"there are {len(names)} metrics of a task of kind {scores.kind!r}")
    lowest = -math.inf if scores.kind == "numbers" else 0.0  # R² has no lower bound
    for row in scores.rows:
        if list(row.metrics) != names:
            raise ValueError("the representations have different metrics")
        for name, metric in row.metrics.items():
            _require_in_range(f"{name} of {row.representation}", metric, lowest)
        _require_calibration(row)
        for each in row.slices.values():
            _require_range("a slice", lowest, each["valid"], *(each["test"][name] for name in names))
        if row.slices and row.part not in row.slices:
            raise ValueError(f"the chosen slice {row.part!r} is not among {', '.join(row.slices)}")
    _require_range("a baseline", lowest, *(each[name] for each in (scores.chance, scores.majority) for name in names))
    if len({row.representation for row in scores.rows}) < len(scores.rows):
        raise ValueError("two representations have the same name")


def _require_calibration(row: RepresentationScores) -> None:
    if row.calibration:
        _require_numbers(*(row.calibration[name] for name in ("temperature", "clips")))
        _require_range("a calibration error", 0.0, *(row.calibration[name] for name in ("error_before", "error_after")))


def _require_in_range(subject: str, metric: Metric, lowest: float) -> None:
    """Check that a score is in its interval, and that all its values can be values of the metric."""
    interval, lead = metric.interval, metric.lead
    knn = () if metric.neighbours is None else (metric.neighbours,)
    _require_range(subject, lowest, metric.value, interval.low, interval.high, *metric.seeds, *knn)
    if not interval.low - _TOLERANCE <= metric.value <= interval.high + _TOLERANCE:
        raise ValueError(f"{subject} is {metric.value}, outside its interval {interval.low} to {interval.high}")
    if lead is not None:
        _require_numbers(lead.low, lead.high)
        if lead.low > lead.high:
            raise ValueError(f"{subject}: the interval of its difference is {lead.low} to {lead.high}")


def _require_range(subject: str, lowest: float, *values: object) -> None:
    _require_numbers(*values)
    for value in values:
        if not lowest - _TOLERANCE <= value <= 1 + _TOLERANCE:  # type: ignore[operator]
            raise ValueError(f"{subject} is {value}, and {'at most 1' if lowest else '0 to 1'} is possible")


def _require_per_class_results(results: Mapping[str, Any], classes: int) -> None:
    confusions = results.get("confusions")
    if confusions is not None and ([len(row) for row in confusions] != [classes] * classes):
        raise ValueError(f"the confusions are not {classes} by {classes}")
    for row in confusions or ():
        _require_numbers(*row)
    _require_numbers(*results.get("relations", {}).values())
    for tag in results.get("tags", ()):
        defined = [tag[name] for name in ("ROC-AUC", "average precision") if tag[name] is not None]
        _require_numbers(tag["clips"], *defined)
    for number in results.get("numbers", ()):
        _require_numbers(*([] if number["correlation"] is None else [number["correlation"]]))
    _require_names(*(output["name"] for kind in ("tags", "numbers") for output in results.get(kind, ())))


def _require_label_efficiency(row: RepresentationScores, first: RepresentationScores) -> None:
    for subset in row.efficiency:
        means = [subset["metrics"][name] for name in row.metrics]
        _require_numbers(subset["share"], subset["clips"], subset["draws"], *means)
        for name in row.metrics if "intervals" in subset else ():
            _require_numbers(subset["intervals"][name]["low"], subset["intervals"][name]["high"])
    shares = [subset["share"] for subset in row.efficiency]
    if shares and shares != [subset["share"] for subset in first.efficiency]:
        raise ValueError("the representations were trained on different shares of the clips")


def _require_numbers(*values: object) -> None:
    for value in values:
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{str(value)[:40]!r} was found, and a finite number is needed")


def _require_names(*values: object) -> None:
    if wrong := [value for value in values if not isinstance(value, str)]:
        raise ValueError(f"{str(wrong[0])[:40]!r} was found, and a name is needed")
