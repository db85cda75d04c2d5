"""All scores in one table as the paper lays it out: representations down, tasks across, quoted rows below, average.

    MagnaTagATune ROC-AUC, AP | GTZAN accuracy | GiantSteps weighted score | EmoMusic R2 arousal, valence | average

Metrics of one task are averaged first, then tasks (`model.probes.evaluation.scoring.average`). Data sets that are
not in the paper form a table of their own, with their tasks across.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.page import markup, overview
from model.page.document import Section
from model.page.markup import Line
from model.page.quoted import AVERAGE, Quote
from model.page.run_results import PAPER
from model.probes.config import FULL
from model.probes.evaluation.scoring import average
from model.probes.results.scores import TRAINED, Scores
from stores.errors import InvalidInput

_SPELLED = {"magnatagatune": "MagnaTagATune", "gtzan": "GTZAN", "giantsteps": "GiantSteps", "emomusic": "EmoMusic"}
_SHORT = {"average precision": "AP"}


@dataclass(frozen=True)
class TableTask:
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
    TableTask("magnatagatune", "tags", "tags", ("ROC-AUC", "average precision")),
    TableTask("gtzan", "genre", "classes", ("accuracy",)),
    TableTask("giantsteps", "key", "key", ("weighted score",)),
    TableTask("emomusic", "emotion", "numbers", ("R² arousal", "R² valence")),
)
"""Those of the paper's table, from left to right."""


@dataclass(frozen=True)
class Table:
    """Values by row and column; a row lacks those that nobody has measured."""

    tasks: tuple[TableTask, ...]
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


def _table(tasks: tuple[TableTask, ...], scores: Sequence[Scores], quotes: Sequence[Quote]) -> Table:
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


def _columns(tasks: Sequence[TableTask]) -> set[str]:
    """What may be quoted: every column, and the average where it is over the paper's tasks."""
    return {column for task in tasks for column in task.columns} | ({AVERAGE} if tasks[0].dataset in PAPER else set())


def _task(scores: Scores) -> TableTask:
    return TableTask(scores.dataset, scores.task, scores.kind, overview.averaged(scores))


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


_METRICS: Mapping[str, tuple[str, ...]] = {
    "classes": ("accuracy",),
    "key": ("weighted score", "accuracy"),
    "tags": ("ROC-AUC", "average precision"),
}
"""Of tasks by kind; those of numbers are named after what they are of."""
_OF_NUMBERS = "R² "


def not_shown(quotes: Sequence[Quote], scores: Sequence[Scores], name: str) -> list[Quote]:
    """Quotes of columns that can exist, but stand in no table of the page.

    Args:
        quotes: of a file.
        scores: that the page tells.
        name: of the file, for errors.

    Raises:
        InvalidInput: a column cannot exist: the message names its line, and the columns that are known.
    """
    tasks = _paper() | {(one.dataset, one.task): tuple(one.rows[0].metrics) for one in scores}
    for one in quotes:
        if not _possible(one.column, tasks):
            known = [f"{dataset}/{task}/{metric}" for (dataset, task), found in tasks.items() for metric in found]
            every = ", ".join(dict.fromkeys(metric for found in _METRICS.values() for metric in found))
            raise InvalidInput(
                f"{name}, line {one.line}: there is no column {one.column!r}; known are {', '.join(known)} and "
                f"{AVERAGE}, and of other data sets the metrics {every} and {_OF_NUMBERS}NUMBER"
            )
    shown = columns(scores)
    return [one for one in quotes if one.column not in shown]


def _paper() -> dict[tuple[str, str], tuple[str, ...]]:
    """Metrics of the paper's tasks, by data set and task."""
    return {(one.dataset, one.name): _METRICS.get(one.kind, one.metrics) for one in PAPER_TASKS}


def _possible(column: str, tasks: Mapping[tuple[str, str], tuple[str, ...]]) -> bool:
    if column == AVERAGE:
        return True
    dataset, task, metric = column.split("/")
    if (dataset, task) in tasks:
        return metric in tasks[dataset, task]
    anywhere = metric.startswith(_OF_NUMBERS) or any(metric in found for found in _METRICS.values())
    return dataset not in PAPER and anywhere
