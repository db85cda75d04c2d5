"""The average over tasks as in the paper: the metrics of each task are averaged first, then the tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.probes.config import FULL
from model.probes.evaluation.scoring import task_average
from model.probes.results.scores import Scores
from stores.terminal_table import terminal_table

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
    table = []
    for name in dict.fromkeys(row.representation for each in scores for row in each.rows):
        values = [
            task_average(kinds[column], [metric.value for metric in rows[name].metrics.values()])
            if name in rows
            else None
            for column, rows in columns
        ]
        measured = [value for value in values if value is not None]
        average = float(np.mean(measured)) if len(measured) == len(values) else None
        table.append([name, *map(_cell, values), _cell(average)])
    lines = terminal_table(("representation", *(column for column, _ in columns), "average"), table)
    marked = [f"{each.dataset}/{each.task}" for each in scores if each.grid != FULL.name]
    if marked:
        lines.append(f"not the paper's protocol, which is --grid full: {', '.join(marked)}")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.3f}"
