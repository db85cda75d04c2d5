"""The average over tasks as in the paper: the metrics of each task are averaged first, then the tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.probes.config import FULL
from model.probes.evaluation.scoring import task_average
from model.probes.results.scores import Scores

_MISSING = "–"  # noqa: RUF001 -- the sign of the page for a value that nobody has measured


def averages(scores: Sequence[Scores], datasets: Sequence[str] = ()) -> str:
    """Return a text table with the value of every task and their average, for each representation.

    A representation that lacks a task has a dash there and no average. A dataset without scores has a column of dashes.

    Args:
        scores: scores of each task.
        datasets: datasets that the average is over (default: those of `scores`).
    """
    columns = [(f"{each.dataset}/{each.task}", {row.representation: row for row in each.rows}) for each in scores]
    columns += [(name, {}) for name in datasets if name not in {each.dataset for each in scores}]
    kinds = {f"{each.dataset}/{each.task}": each.kind for each in scores}
    widths = [max(8, len(column)) + 2 for column, _ in columns]
    lines = [f"{'representation':<20}" + _line([column for column, _ in columns], widths) + f"{'average':>9}"]
    for name in dict.fromkeys(row.representation for each in scores for row in each.rows):
        values = [
            task_average(kinds[column], [metric.value for metric in rows[name].metrics.values()])
            if name in rows
            else None
            for column, rows in columns
        ]
        measured = [value for value in values if value is not None]
        average = float(np.mean(measured)) if len(measured) == len(values) else None
        lines.append(f"{name:<20}" + _line([_cell(value) for value in values], widths) + f"{_cell(average):>9}")
    marked = [f"{each.dataset}/{each.task}" for each in scores if each.grid != FULL.name]
    if marked:
        lines.append(f"not the paper's protocol, which is --grid full: {', '.join(marked)}")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.3f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
