"""Whether columns of quoted scores can exist, and which of them a page shows: a mistyped one never just vanishes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from model.page import paper_table
from model.page.findings import PAPER
from model.page.quoted import AVERAGE, Quote
from model.probes.scores import Scores
from stores.errors import InvalidInput

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
    shown = paper_table.columns(scores)
    return [one for one in quotes if one.column not in shown]


def _paper() -> dict[tuple[str, str], tuple[str, ...]]:
    """Metrics of the paper's tasks, by data set and task."""
    return {(one.dataset, one.name): _METRICS.get(one.kind, one.metrics) for one in paper_table.PAPER_TASKS}


def _possible(column: str, tasks: Mapping[tuple[str, str], tuple[str, ...]]) -> bool:
    if column == AVERAGE:
        return True
    dataset, task, metric = column.split("/")
    if (dataset, task) in tasks:
        return metric in tasks[dataset, task]
    anywhere = metric.startswith(_OF_NUMBERS) or any(metric in found for found in _METRICS.values())
    return dataset not in PAPER and anywhere
