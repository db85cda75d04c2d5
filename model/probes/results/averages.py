"""Several tasks in one number, as the paper has it: the metrics of one task are averaged first, then the tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.probes.config import FULL
from model.probes.evaluation.scoring import average
from model.probes.results.scores import Scores


def averages(scores: Sequence[Scores]) -> str:
    """A line for each representation that all of `scores` have: every task's value, and their mean."""
    heads = [f"{one.dataset}/{one.task}" for one in scores]
    widths = [max(8, len(head)) + 2 for head in heads]
    shared = [
        row.representation
        for row in scores[0].rows
        if all(row.representation in {other.representation for other in one.rows} for one in scores)
    ]
    lines = [f"{'representation':<20}" + _line(heads, widths) + f"{'average':>9}"]
    for name in shared:
        values = [_value(one, name) for one in scores]
        cells = [f"{value:.3f}" for value in values]
        lines.append(f"{name:<20}" + _line(cells, widths) + f"{np.mean(values):>9.3f}")
    quick = [head for head, one in zip(heads, scores, strict=True) if one.grid != FULL.name]
    if quick:
        lines.append(f"not the paper's protocol, which is --grid full: {', '.join(quick)}")
    return "\n".join(lines)


def _value(scores: Scores, name: str) -> float:
    """What the paper's average takes of this task."""
    row = next(row for row in scores.rows if row.representation == name)
    return average(scores.kind, [metric.value for metric in row.metrics.values()])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
