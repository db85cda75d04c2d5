"""Scores by layer: how well each block of the encoder serves each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from model.page import charts, formats
from model.page.charts import Spec
from model.page.document import Section
from model.page.elements import PageChart, PageRow, PageTable
from model.probes.results.layer_scores import LayerScores

_FUSED = {"mean": "mean of all", "mix": "learned mix of all"}
"""Name in the chart of each way to fuse all blocks."""


def section(layers: Sequence[LayerScores]) -> Section | None:
    """Return a chart with its table for each task, or None if no layers were scored."""
    if not layers:
        return None
    by_id = {f"layers-{one_task.dataset}-{one_task.task}": one_task for one_task in layers}
    drawn = {chart_id: chart(one_task) for chart_id, one_task in by_id.items() if one_task.blocks}
    tasks = [
        {
            "name": f"{one_task.dataset} / {one_task.task}",
            "best": str(one_task.best.layer),
            "chart": PageChart(chart_id, f"Test {one_task.metric} on {one_task.task} by layer", table(one_task))
            if chart_id in drawn
            else None,
            "table": table(one_task),
        }
        for chart_id, one_task in by_id.items()
    ]
    return Section("Layers", "layers", {"tasks": tasks}, drawn)


def chart(scores: LayerScores) -> Spec:
    """Return the scores on test and validation over the blocks. Dashed: the mean and the learned mix of all on test."""
    rows: list[dict[str, Any]] = [
        {"layer": row.layer, "score": row.value, "low": row.low, "high": row.high} for row in scores.blocks
    ]
    valid: list[dict[str, Any]] = [
        {"layer": row.layer, "score": row.valid, "split": "validation"} for row in scores.blocks
    ]
    fused = [{"score": row.value, "is": _FUSED[str(row.layer)]} for row in scores.rows if row.layer in _FUSED]
    values = [float(row["score"]) for row in (*rows, *valid, *fused)]
    numbers: Spec = {"values": [row.layer for row in scores.blocks], "format": "d"}
    axis = alt.Axis(grid=False, **numbers, **charts.separate_labels("greedy"))
    x = alt.X("layer:Q", title="block", scale=alt.Scale(zero=False, padding=14), axis=axis)
    y = alt.Y("score:Q", **charts.titled_span(scores.metric, values, [(row.low, row.high) for row in scores.blocks]))
    base = alt.Chart(charts.data(rows)).encode(x=x)
    tooltip = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("score", "low", "high")]
    layers = [
        *_fused(fused, y),
        base.mark_rule(style="interval").encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_line(style="trained", strokeWidth=1.5, fill="transparent").encode(y=y),
        base.mark_point(style="trained", filled=True, size=80, opacity=1).encode(
            y=y, tooltip=[alt.Tooltip("layer:Q", title="block"), *tooltip]
        ),
        alt.Chart(charts.data(valid))
        .mark_point(style="other", shape="stroke", size=160)
        .encode(x=x, y=y, tooltip=[alt.Tooltip("score:Q", title="validation", format=".3f")]),
    ]
    return charts.spec_of(alt.layer(*layers).properties(height=220))


def table(scores: LayerScores) -> PageTable:
    """Return a row for each layer, where the one that is best on validation is marked."""
    rows = [
        PageRow(
            (
                str(row.layer),
                row.part or formats.MISSING,
                formats.number(row.valid),
                formats.estimate(row.value, row.low, row.high),
            ),
            "trained" if row is scores.best else "",
        )
        for row in scores.rows
    ]
    return PageTable(("layer", "patches", "validation", "test"), rows, f"{scores.metric} on {scores.task} by layer")


def _fused(fused: Sequence[dict[str, Any]], y: alt.Y) -> list[alt.Chart]:
    """Return the dashed lines of all blocks fused, or nothing if they were not scored."""
    if not fused:
        return []
    base = alt.Chart(charts.data(fused)).encode(y=y)
    name = base.mark_text(style="remark", align="right", baseline="bottom", dx=-4, dy=-3)
    return [base.mark_rule(style="reference"), name.encode(x=alt.value("width"), text="is:N")]
