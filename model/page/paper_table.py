"""All scores in the layout of the paper's table: one row per representation, one column per metric, and the average.

    MagnaTagATune ROC-AUC, AP | GTZAN accuracy | GiantSteps weighted score | EmoMusic R2 arousal, valence | average

Quoted rows stand below. The metrics of one task are averaged first, then the tasks
(`model.probes.evaluation.scoring.task_average`). Datasets that are not in the paper have a table of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.page import formats, overview
from model.page.document import Section
from model.page.elements import PageRow, PageTable
from model.page.quoted import AVERAGE, Quote
from model.page.run_results import PAPER
from model.probes.config import FULL
from model.probes.evaluation.scoring import task_average
from model.probes.results.scores import TRAINED, Scores
from stores.errors import InvalidInput

_DISPLAY_NAMES = {
    "magnatagatune": "MagnaTagATune",
    "gtzan": "GTZAN",
    "giantsteps": "GiantSteps",
    "emomusic": "EmoMusic",
}
_ABBREVIATIONS = {"average precision": "AP"}


@dataclass(frozen=True)
class TableTask:
    """The columns of one task."""

    dataset: str
    """Name of the dataset."""
    name: str
    """Name of the task."""
    kind: str
    """Kind of the task; see `Scores.kind`."""
    metrics: tuple[str, ...]
    """Metrics that enter the average."""

    @property
    def columns(self) -> tuple[str, ...]:
        """DATASET/TASK/METRIC of each column."""
        return tuple(f"{self.dataset}/{self.name}/{metric}" for metric in self.metrics)


PAPER_TASKS = (
    TableTask("magnatagatune", "tags", "tags", ("ROC-AUC", "average precision")),
    TableTask("gtzan", "genre", "classes", ("accuracy",)),
    TableTask("giantsteps", "key", "key", ("weighted score",)),
    TableTask("emomusic", "emotion", "numbers", ("R² arousal", "R² valence")),
)
"""Tasks of the paper's table from left to right."""


@dataclass(frozen=True)
class ScoreTable:
    """Values by row and column. A row lacks the values that nobody has measured."""

    tasks: tuple[TableTask, ...]
    """Tasks from left to right."""
    measured: Mapping[str, Mapping[str, float]]
    """Our scores: value by column, by representation, the trained one first."""
    quoted: Mapping[str, Mapping[str, float]]
    """Published scores: value by column, by name of the row."""

    @property
    def of_paper(self) -> bool:
        """True if these are the paper's datasets."""
        return self.tasks[0].dataset in PAPER

    def average(self, values: Mapping[str, float]) -> float | None:
        """Return the published average of a row, or the mean over tasks; None if a column is missing."""
        if AVERAGE in values:
            return values[AVERAGE]
        if any(column not in values for task in self.tasks for column in task.columns):
            return None
        means = [task_average(task.kind, [values[column] for column in task.columns]) for task in self.tasks]
        return float(np.mean(means))


def tables(scores: Sequence[Scores], quotes: Sequence[Quote]) -> list[ScoreTable]:
    """Return the paper's table if one of its datasets was probed, and a table of all other datasets."""
    of_paper = [_table_task(one_task) for one_task in scores if one_task.dataset in PAPER]
    others = tuple(_table_task(one_task) for one_task in scores if one_task.dataset not in PAPER)
    extra = tuple(task for task in of_paper if task not in PAPER_TASKS)
    groups = [tasks for tasks in ((PAPER_TASKS + extra) if of_paper else (), others) if tasks]
    return [_table(tasks, scores, quotes) for tasks in groups]


def columns(scores: Sequence[Scores]) -> set[str]:
    """Return the columns of the tables, which are those that can be quoted beside these scores."""
    return {column for table in tables(scores, ()) for column in _quotable(table.tasks)}


def section(run: str, scores: Sequence[Scores], quotes: Sequence[Quote]) -> Section:
    """Return the tables with the sources of the quoted scores."""
    score_tables = tables(scores, quotes)
    known = columns(scores)
    content = {
        "tables": [_page_table(table, run) for table in score_tables],
        "not_full_grid": [f"{one.dataset} / {one.task}" for one in scores if one.grid != FULL.name],
        "has_quotes": any(table.quoted for table in score_tables),
        "sources": list(dict.fromkeys(quote.source for quote in quotes if quote.column in known)),
    }
    return Section("Scores", "paper_table", content)


def _table(tasks: tuple[TableTask, ...], scores: Sequence[Scores], quotes: Sequence[Quote]) -> ScoreTable:
    columns = _quotable(tasks)
    measured: dict[str, dict[str, float]] = {}
    for one_task in scores:
        for row in one_task.rows:
            for metric, score in row.metrics.items():
                if (column := f"{one_task.dataset}/{one_task.task}/{metric}") in columns:
                    measured.setdefault(row.representation, {})[column] = score.value
    quoted: dict[str, dict[str, float]] = {}
    for quote in quotes:
        if quote.column in columns:
            quoted.setdefault(quote.row, {})[quote.column] = quote.value
    return ScoreTable(tasks, measured, quoted)


def _quotable(tasks: Sequence[TableTask]) -> set[str]:
    """Return every column, and the average if it is over the paper's tasks."""
    return {column for task in tasks for column in task.columns} | ({AVERAGE} if tasks[0].dataset in PAPER else set())


def _table_task(scores: Scores) -> TableTask:
    return TableTask(scores.dataset, scores.task, scores.kind, overview.averaged_metrics(scores))


def _page_table(table: ScoreTable, run: str) -> PageTable:
    head = [_column_title(column) for task in table.tasks for column in task.columns]
    rows = [
        _row(f"{run} (trained)", values, table, "trained") if name == TRAINED else _row(name, values, table, "")
        for name, values in table.measured.items()
    ]
    rows += [
        _row(name, values, table, "quoted" if index else "quoted divided")
        for index, (name, values) in enumerate(table.quoted.items())
    ]
    datasets = "The paper's datasets" if table.of_paper else "Datasets that are not in the paper"
    return PageTable(["representation", *head, "average"], rows, f"{datasets}: scores on test, higher is better")


def _column_title(column: str) -> str:
    dataset, task, metric = column.split("/")
    subject = _DISPLAY_NAMES.get(dataset, f"{dataset} {task}")
    return f"{subject} {_ABBREVIATIONS.get(metric, metric)}"


def _row(name: str, values: Mapping[str, float], table: ScoreTable, kind: str) -> PageRow:
    columns = [column for task in table.tasks for column in task.columns]
    cells = [formats.number(values.get(column)) for column in columns]
    return PageRow((name, *cells, formats.number(table.average(values))), kind)


_METRICS: Mapping[str, tuple[str, ...]] = {
    "classes": ("accuracy",),
    "key": ("weighted score", "accuracy"),
    "tags": ("ROC-AUC", "average precision"),
}
"""Metrics by kind of task. The metrics of numbers are named after the numbers."""
_NUMBER_METRIC = "R² "


def not_shown(quotes: Sequence[Quote], scores: Sequence[Scores], name: str) -> list[Quote]:
    """Return the quotes of columns that can exist but are in no table of the page.

    Args:
        quotes: quotes of a file.
        scores: scores that the page shows.
        name: name of the file for errors.

    Raises:
        InvalidInput: a column cannot exist. The message names its line and the known columns.
    """
    tasks = _paper_metrics() | {(one.dataset, one.task): tuple(one.rows[0].metrics) for one in scores}
    for quote in quotes:
        if not _can_exist(quote.column, tasks):
            known = [f"{dataset}/{task}/{metric}" for (dataset, task), names in tasks.items() for metric in names]
            metrics = ", ".join(dict.fromkeys(metric for names in _METRICS.values() for metric in names))
            raise InvalidInput(
                f"{name}, line {quote.line}: there is no column {quote.column!r}; known are {', '.join(known)} and "
                f"{AVERAGE}, and for other datasets the metrics {metrics} and {_NUMBER_METRIC}NUMBER"
            )
    shown = columns(scores)
    return [quote for quote in quotes if quote.column not in shown]


def _paper_metrics() -> dict[tuple[str, str], tuple[str, ...]]:
    """Return all metrics of the paper's tasks by dataset and task."""
    return {(task.dataset, task.name): _METRICS.get(task.kind, task.metrics) for task in PAPER_TASKS}


def _can_exist(column: str, tasks: Mapping[tuple[str, str], tuple[str, ...]]) -> bool:
    if column == AVERAGE:
        return True
    dataset, task, metric = column.split("/")
    if (dataset, task) in tasks:
        return metric in tasks[dataset, task]
    is_metric = metric.startswith(_NUMBER_METRIC) or any(metric in names for names in _METRICS.values())
    return dataset not in PAPER and is_metric
