"""Scores by number of labels: the winning probe, trained on shares of the training clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from model.page import charts, formats
from model.page.charts import Spec
from model.page.document import Section
from model.page.elements import PageChart, PageRow, PageTable
from model.probes.results.scores import TRAINED, Scores

_OFFSET = 0.012
"""Horizontal distance between two representations, as a share of the logarithmic axis."""


def section(scores: Sequence[Scores]) -> Section | None:
    """Return a chart with its table for each task, or None if no task was scored with fewer labels."""
    measured = [one_task for one_task in scores if any(row.efficiency for row in one_task.rows)]
    if not measured:
        return None
    by_id = {f"efficiency-{one_task.dataset}-{one_task.task}": one_task for one_task in measured}
    tasks = [
        {
            "name": f"{one_task.dataset} / {one_task.task}",
            "chart": PageChart(
                chart_id, f"Test {one_task.metric} on {one_task.task} by training clips", table(one_task)
            ),
        }
        for chart_id, one_task in by_id.items()
    ]
    drawn = {chart_id: chart(one_task) for chart_id, one_task in by_id.items()}
    return Section("Label efficiency", "label_efficiency", {"tasks": tasks}, drawn)


def chart(scores: Scores) -> Spec:
    """Return the most important metric over the number of training clips, with a line for each representation."""
    rows, names = _rows(scores), [row.representation for row in scores.rows if row.efficiency]
    scale = alt.Scale(domain=names)
    counts = sorted({row["clips"] for row in rows})
    base = alt.Chart(charts.data(rows)).encode(
        x=alt.X(
            "at:Q",
            title="training clips",
            scale=alt.Scale(type="log", nice=False, padding=14),
            axis=alt.Axis(values=counts, grid=False, format=",", **charts.separate_labels("greedy")),
        ),
        color=alt.Color("representation:N", scale=scale, title=None, sort=names),
    )
    shape = alt.Shape("representation:N", scale=scale, title=None, sort=names)
    intervals = [(row["low"], row["high"]) for row in rows if "low" in row]
    y = alt.Y("score:Q", **charts.titled_span(scores.metric, [row["score"] for row in rows], intervals))
    subsets = alt.Tooltip("draws:Q", title="subsets")
    tooltip = ["representation:N", "clips:Q", alt.Tooltip("score:Q", format=".3f"), subsets]
    rules = [base.mark_rule(opacity=0.55).encode(y=alt.Y("low:Q"), y2="high:Q")]
    layers = [
        *(rules if all("low" in row for row in rows) else []),
        base.mark_line(strokeWidth=2, fill="transparent").encode(y=y),
        base.mark_point(filled=True, size=70, opacity=1).encode(y=y, shape=shape, tooltip=tooltip),
    ]
    return charts.spec_of(alt.layer(*layers).properties(height=240))


def table(scores: Scores) -> PageTable:
    """Return a row for each representation and a column for each share of the training clips."""
    shares = [(result["share"], result["clips"]) for result in scores.rows[0].efficiency]
    head = ("representation", *(f"{clips:,} clips ({share:.0%})" for share, clips in shares))
    rows = [
        PageRow(
            (row.representation, *(_cell(result, scores.metric) for result in row.efficiency)),
            "trained" if row.representation == TRAINED else "",
        )
        for row in scores.rows
        if row.efficiency
    ]
    return PageTable(head, rows, f"Test {scores.metric} on {scores.task}")


def _cell(result: Mapping[str, Any], metric: str) -> str:
    value, interval = result["metrics"][metric], result.get("intervals", {}).get(metric)
    return formats.estimate(value, interval["low"], interval["high"]) if interval else formats.number(value)


def _rows(scores: Scores) -> list[dict[str, Any]]:
    """Return a row for each score. Positions are shifted a little, so that intervals stand side by side."""
    counts = [result["clips"] for row in scores.rows for result in row.efficiency]
    factor = (max(counts) / max(1, min(counts))) ** _OFFSET
    return [
        {
            "representation": row.representation,
            "clips": result["clips"],
            "draws": result["draws"],
            "at": result["clips"] * factor ** (index - len(scores.rows) // 2),
            "score": result["metrics"][scores.metric],
            **result.get("intervals", {}).get(scores.metric, {}),
        }
        for index, row in enumerate(scores.rows)
        for result in row.efficiency
    ]
