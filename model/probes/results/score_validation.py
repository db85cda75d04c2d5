"""Whether a file of scores is whole: everything that the page and its exports read of it, before they read it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.probes.evaluation.scoring import AVERAGED
from model.probes.results.scores import RepresentationScores, Scores
from stores.errors import CorruptArtifact


def read(path: Path) -> Scores:
    """The scores at `path`.

    Raises:
        MissingArtifact: nothing there.
        CorruptArtifact: not such a file, or not those that its name says, or with parts that do not fit each other.
    """
    found = Scores.read(path)
    try:
        if path.name != f"{found.dataset}.{found.task}.json":
            raise ValueError(f"they are of {found.dataset!r} / {found.task!r}, which is not what the name says")
        _require_metrics(found)
        for row in found.rows:
            _require_details(row.details, len(found.classes))
            _require_efficiency(row, found.rows[0])
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise CorruptArtifact(f"{path} does not hold scores of this version: {error}; probe again") from error
    return found


def _require_metrics(scores: Scores) -> None:
    names = list(scores.rows[0].metrics)
    if len(names) < AVERAGED[scores.kind]:
        raise ValueError(f"{len(names)} metrics of a task of kind {scores.kind!r}")
    for row in scores.rows:
        if list(row.metrics) != names:
            raise ValueError("representations have different metrics")
        _numbers(*(one.neighbours for one in row.metrics.values() if one.neighbours is not None))
    _numbers(*(guess[name] for guess in (scores.chance, scores.majority) for name in names))
    if len({row.representation for row in scores.rows}) < len(scores.rows):
        raise ValueError("two representations have one name")


def _require_details(details: Mapping[str, Any], classes: int) -> None:
    confusions = details.get("confusions")
    if confusions is not None and ([len(line) for line in confusions] != [classes] * classes):
        raise ValueError(f"confusions are not {classes} by {classes}")
    for line in confusions or ():
        _numbers(*line)
    _numbers(*details.get("relations", {}).values())
    for tag in details.get("tags", ()):
        _numbers(tag["clips"], *(tag[name] for name in ("ROC-AUC", "average precision") if tag[name] is not None))
    for number in details.get("numbers", ()):
        _numbers(*([] if number["correlation"] is None else [number["correlation"]]))
    _names(*(one["name"] for name in ("tags", "numbers") for one in details.get(name, ())))


def _require_efficiency(row: RepresentationScores, first: RepresentationScores) -> None:
    for one in row.efficiency:
        _numbers(one["share"], one["clips"], one["draws"], *(one["metrics"][name] for name in row.metrics))
        for name in row.metrics if "intervals" in one else ():
            _numbers(one["intervals"][name]["low"], one["intervals"][name]["high"])
    if row.efficiency and [one["share"] for one in row.efficiency] != [one["share"] for one in first.efficiency]:
        raise ValueError("representations were trained on different shares of the clips")


def _numbers(*values: object) -> None:
    for value in values:
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{str(value)[:40]!r} stands where a number should")


def _names(*values: object) -> None:
    if wrong := [value for value in values if not isinstance(value, str)]:
        raise ValueError(f"{str(wrong[0])[:40]!r} stands where a name should")
