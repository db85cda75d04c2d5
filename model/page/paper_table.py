"""All scores in one table as the paper lays it out: representations down, tasks across, quoted rows below, average.

    MagnaTagATune ROC-AUC, AP | GTZAN accuracy | GiantSteps weighted score | EmoMusic R2 arousal, valence | average

Metrics of one task are averaged first, then tasks (`model.probes.measure.average`). Data sets that the paper does not
have make a table of their own, with their tasks across.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.page import markup, overview
from model.page.document import Section
from model.page.findings import PAPER
from model.page.markup import Line
from model.page.quoted import AVERAGE, Quote
from model.probes.config import FULL
from model.probes.measure import average
from model.probes.scores import TRAINED, Scores

_SPELLED = {"magnatagatune": "MagnaTagATune", "gtzan": "GTZAN", "giantsteps": "GiantSteps", "emomusic": "EmoMusic"}
_SHORT = {"average precision": "AP"}


@dataclass(frozen=True)
class Task:
    """Columns of one task."""

    dataset: str
    """Name of the data set."""
    name: str
    """Name of the task."""
    kind: str
    """Of the task; see `Scores.kind`."""
    metrics: tuple[str, ...]
    """Those that the average takes."""

    @property
    def columns(self) -> tuple[str, ...]:
        """DATASET/TASK/METRIC of each."""
        return tuple(f"{self.dataset}/{self.name}/{metric}" for metric in self.metrics)


PAPER_TASKS = (
    Task("magnatagatune", "tags", "tags", ("ROC-AUC", "average precision")),
    Task("gtzan", "genre", "classes", ("accuracy",)),
    Task("giantsteps", "key", "key", ("weighted score",)),
    Task("emomusic", "emotion", "numbers", ("R² arousal", "R² valence")),
)
"""Those of the paper's table, from left to right."""


@dataclass(frozen=True)
class Table:
    """Values by row and column; a row lacks those that nobody has measured."""

    tasks: tuple[Task, ...]
    """Across."""
    ours: Mapping[str, Mapping[str, float]]
    """Measured here: value by column, by representation, the trained one first."""
    quoted: Mapping[str, Mapping[str, float]]
    """Published by others: the same."""

    def average(self, values: Mapping[str, float]) -> float | None:
        """What was published, or of the tasks, each the mean of its metrics; None where one is not there."""
        if AVERAGE in values:
            return values[AVERAGE]
        if any(column not in values for task in self.tasks for column in task.columns):
            return None
        return float(np.mean([average(task.kind, [values[one] for one in task.columns]) for task in self.tasks]))


def tables(scores: Sequence[Scores], quotes: Sequence[Quote]) -> list[Table]:
    """The paper's table if one of its data sets was probed, then one for all others."""
    ours = [one for one in scores if one.dataset in PAPER]
    others = tuple(_task(one) for one in scores if one.dataset not in PAPER)
    extra = tuple(task for task in map(_task, ours) if task not in PAPER_TASKS)
    chosen = [tasks for tasks in ((PAPER_TASKS + extra) if ours else (), others) if tasks]
    return [_table(tasks, scores, quotes) for tasks in chosen]


def columns(scores: Sequence[Scores]) -> set[str]:
    """All that stand in the tables: what may be quoted beside these scores."""
    return {column for table in tables(scores, ()) for column in _columns(table.tasks)}


def section(run: str, scores: Sequence[Scores], quotes: Sequence[Quote]) -> Section:
    """The tables, and where what is quoted was read."""
    body = "".join(_body(one, run) for one in tables(scores, quotes))
    return Section("Scores", body + _remarks(scores, tables(scores, quotes), quotes), {}, {})


def _table(tasks: tuple[Task, ...], scores: Sequence[Scores], quotes: Sequence[Quote]) -> Table:
    columns = _columns(tasks)
    ours: dict[str, dict[str, float]] = {}
    for one in scores:
        for row in one.rows:
            for metric, measured in row.metrics.items():
                if (column := f"{one.dataset}/{one.task}/{metric}") in columns:
                    ours.setdefault(row.representation, {})[column] = measured.value
    quoted: dict[str, dict[str, float]] = {}
    for quote in quotes:
        if quote.column in columns:
            quoted.setdefault(quote.row, {})[quote.column] = quote.value
    return Table(tasks, ours, quoted)


def _columns(tasks: Sequence[Task]) -> set[str]:
    """What may be quoted: every column, and the average where it is over the paper's tasks."""
    return {column for task in tasks for column in task.columns} | ({AVERAGE} if tasks[0].dataset in PAPER else set())


def _task(scores: Scores) -> Task:
    return Task(scores.dataset, scores.task, scores.kind, overview.averaged(scores))


def _body(table: Table, run: str) -> str:
    head = [_head(column) for task in table.tasks for column in task.columns]
    lines = [
        _line(f"{run} (trained)" if name == TRAINED else name, values, table, "trained" if name == TRAINED else "")
        for name, values in table.ours.items()
    ]
    lines += [
        _line(name, values, table, "quoted divided" if place == 0 else "quoted")
        for place, (name, values) in enumerate(table.quoted.items())
    ]
    whose = "The paper's data sets" if table.tasks[0].dataset in PAPER else "Data sets that the paper does not have"
    caption = f"{whose}: scores on test, higher is better"
    return '<div class="wide">' + markup.table(["representation", *head, "average"], lines, caption) + "</div>\n"


def _head(column: str) -> str:
    dataset, task, metric = column.split("/")
    shown = f"{_SPELLED[dataset]} " if dataset in _SPELLED else f"{dataset} {task} "
    return shown + _SHORT.get(metric, metric)


def _line(name: str, values: Mapping[str, float], table: Table, kind: str) -> Line:
    columns = [column for task in table.tasks for column in task.columns]
    cells = [markup.number(values.get(column)) for column in columns]
    return Line((name, *cells, markup.number(table.average(values))), kind)


def _remarks(scores: Sequence[Scores], shown: Sequence[Table], quotes: Sequence[Quote]) -> str:
    told = ["The average takes each task once: metrics of one task are averaged first. It needs every column."]
    quick = [f"{one.dataset} / {one.task}" for one in scores if one.grid != FULL.name]
    if quick:
        told.append(f"Not the paper's protocol, which is --grid full: {', '.join(quick)}.")
    rows = {name for table in shown for name in table.quoted}
    known = columns(scores)
    sources = dict.fromkeys(one.source for one in quotes if one.column in known)
    if rows:
        told.append("Quoted rows were published by others, by their own protocols; they were not measured here.")
        told += [f"Quoted from: {source}." for source in sources]
    else:
        told.append("No published scores of these tasks are at hand; --quoted FILE.csv adds some.")
    return "".join(markup.paragraph(one, quiet=True) for one in told)
