"""The average over tasks as in the paper: the metrics of each task are averaged first, then the tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.probes.config import FULL
from model.probes.evaluation.scoring import task_average
from model.probes.results.scores import Scores


def averages(scores: Sequence[Scores]) -> str:
    """Return a text table with the value of every task and their average, for representations that all tasks have."""
    tasks = [f"{each.dataset}/{each.task}" for each in scores]
    widths = [max(8, len(task)) + 2 for task in tasks]
    shared = [
        row.representation
        for row in scores[0].rows
        if all(row.representation in {other.representation for other in each.rows} for each in scores)
    ]
    lines = [f"{'representation':<20}" + _line(tasks, widths) + f"{'average':>9}"]
    for name in shared:
        values = [_value(each, name) for each in scores]
        cells = [f"{value:.3f}" for value in values]
        lines.append(f"{name:<20}" + _line(cells, widths) + f"{np.mean(values):>9.3f}")
    marked = [task for task, each in zip(tasks, scores, strict=True) if each.grid != FULL.name]
    if marked:
        lines.append(f"not the paper's protocol, which is --grid full: {', '.join(marked)}")
    return "\n".join(lines)


def _value(scores: Scores, name: str) -> float:
    """Return the number of this task that enters the average."""
    row = next(row for row in scores.rows if row.representation == name)
    return task_average(scores.kind, [metric.value for metric in row.metrics.values()])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
