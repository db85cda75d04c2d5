"""Sweeps over one setting, such as the masking ratio (the paper's Figure 4) or the batch size (its Table 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt

from model.page import charts, formats
from model.page.charts import Spec
from model.page.document import Section
from model.page.elements import PageChart, PageRow, PageTable
from model.probes.results.scores import TRAINED
from stores.sweep_file import Sweep, SweepPoint, SweepScore

UNTRAINED = "untrained"
_LOGARITHMIC = ("batch", "steps", "learning_rate", "projection_width", "weight_decay")
"""Settings that are swept by factors and drawn on a logarithmic axis."""
_SETTINGS: Mapping[str, Callable[[SweepPoint], str]] = {
    "batch": lambda point: f"{point.batch:,}",
    "steps": lambda point: f"{point.steps:,}",
    "ms per step": lambda point: f"{1e3 * point.seconds_per_step:.1f}",
    "loss": lambda point: f"{point.loss:.3f}",
}
"""Columns of the table. The setting that is swept is left out here, because it is the first column."""


class Column(NamedTuple):
    """The dataset, task and metric of a score."""

    dataset: str
    """Name of the dataset that was probed."""
    task: str
    """Name of the task."""
    metric: str
    """Name of the metric."""


def section(sweeps: Sequence[Sweep], run: str) -> Section:
    """Return a chart for each task of each sweep, and a table. The point of `run` is marked."""
    content = {"sweeps": [_content(sweep) for sweep in sweeps]}
    drawn = {
        chart_id: chart(sweep, column, run) for sweep in sweeps for chart_id, column in _columns_by_id(sweep).items()
    }
    return Section("Sweeps", "sweeps", content, drawn)


def columns(sweep: Sweep) -> list[Column]:
    """Return the dataset, task and metric of everything that was scored."""
    return list(dict.fromkeys(_column(score) for point in sweep.points for score in _scores(point, TRAINED)))


def chart(sweep: Sweep, column: Column, run: str) -> Spec:
    """Return the trained encoder's score and interval over the values of the setting. Dashed: the untrained encoder."""
    rows = _rows(sweep, TRAINED, column, run)
    untrained = _rows(sweep, UNTRAINED, column, run)
    nominal = any(isinstance(row["value"], str) for row in rows)
    base = alt.Chart(charts.data(rows)).encode(x=_axis(sweep))
    values, intervals = [row["score"] for row in (*rows, *untrained)], [(row["low"], row["high"]) for row in rows]
    y = alt.Y("score:Q", **charts.titled_span(f"{column.dataset} {column.task}: {column.metric}", values, intervals))
    line = base.mark_line(style="trained", strokeWidth=1.5, fill="transparent").encode(y=y)
    layers = [
        *([] if nominal else [line]),
        base.mark_rule(style="interval").encode(y=alt.Y("low:Q"), y2="high:Q"),
        *_dots([row for row in rows if not row["this_run"]], sweep, y, size=80, shape="circle"),
        *_dots([row for row in rows if row["this_run"]], sweep, y, size=170, shape="diamond"),
    ]
    return charts.spec_of(alt.layer(*_untrained(untrained, sweep, nominal), *layers).properties(height=220))


def table(sweep: Sweep) -> PageTable:
    """Return a row for each run with its settings, speed, loss and scores."""
    scored = columns(sweep)
    settings = [name for name in _SETTINGS if name != sweep.over]
    head = (_in_words(sweep.over), *settings, *(" ".join(column) for column in scored))
    return PageTable(head, [_row(point, settings, scored) for point in sweep.points], f"{sweep.name}: all runs")


def _content(sweep: Sweep) -> dict[str, Any]:
    setting = _in_words(sweep.over)
    return {
        "title": f"{setting} on {sweep.store}",
        "text": _description(sweep),
        "charts": [
            PageChart(chart_id, f"{' '.join(column)} over {setting}")
            for chart_id, column in _columns_by_id(sweep).items()
        ],
        "table": table(sweep),
        "command": sweep.command,
    }


def _columns_by_id(sweep: Sweep) -> dict[str, Column]:
    return {f"sweep-{sweep.name}-{index}": column for index, column in enumerate(columns(sweep))}


def _dots(rows: charts.Rows, sweep: Sweep, y: alt.Y, size: int, shape: str) -> list[alt.Chart]:
    """Return a layer of dots, or none without rows, because Vega warns about an axis without data."""
    tooltip = [alt.Tooltip("run:N"), *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("score", "low", "high"))]
    dots = alt.Chart(charts.data(rows)).mark_point(style="trained", filled=True, size=size, shape=shape, opacity=1)
    return [dots.encode(x=_axis(sweep), y=y, tooltip=tooltip)] if rows else []


def _untrained(rows: charts.Rows, sweep: Sweep, nominal: bool) -> list[alt.Chart]:
    """Return the scores of the same encoders before training, which show how much the setting matters."""
    if not rows:
        return []
    base = alt.Chart(charts.data(rows)).encode(x=_axis(sweep), y=alt.Y("score:Q"))
    tooltip = [alt.Tooltip("run:N"), alt.Tooltip("score:Q", title=UNTRAINED, format=".3f")]
    strokes = base.mark_point(style="reference", shape="stroke", size=240, strokeDash=[]).encode(tooltip=tooltip)
    last = alt.Chart(charts.data([{"is": UNTRAINED, **rows[-1]}])).encode(x=alt.value("width"), y=alt.Y("score:Q"))
    name = last.mark_text(style="remark", align="left", baseline="middle", dx=6).encode(text="is:N")
    line = base.mark_line(style="reference", strokeWidth=1.2, fill="transparent")
    return [*([] if nominal else [line]), strokes, name]


def _axis(sweep: Sweep) -> alt.X:
    title = _in_words(sweep.over)
    values = [point.value for point in sweep.points if not isinstance(point.value, str)]
    if len(values) < len(sweep.points):
        names = [str(point.value) for point in sweep.points]
        return alt.X("value:N", title=title, sort=names, axis=alt.Axis(labelAngle=0))
    logarithmic = sweep.over in _LOGARITHMIC and min(values) > 0
    scale = alt.Scale(type="log", base=2, nice=False, padding=14) if logarithmic else alt.Scale(zero=False, padding=14)
    exact_labels: Spec = {"values": values, "labelExpr": "datum.value"}  # a number format would round 0.75
    axis = alt.Axis(grid=False, **exact_labels, **charts.separate_labels("greedy"))
    return alt.X("value:Q", title=title, scale=scale, axis=axis)


def _rows(sweep: Sweep, representation: str, column: Column, run: str) -> list[dict[str, Any]]:
    return [
        {
            "value": point.value,
            "run": point.run,
            "this_run": point.run == run,
            "score": score.value,
            "low": score.low,
            "high": score.high,
        }
        for point in sweep.points
        for score in _scores(point, representation)
        if _column(score) == column
    ]


def _row(point: SweepPoint, settings: Sequence[str], scored: Sequence[Column]) -> PageRow:
    scores = {_column(score): formats.estimate(score.value, score.low, score.high) for score in _scores(point, TRAINED)}
    value = point.value if isinstance(point.value, str) else f"{point.value:g}"
    cells = (scores.get(column, formats.MISSING) for column in scored)
    return PageRow((value, *(_SETTINGS[name](point) for name in settings), *cells))


def _description(sweep: Sweep) -> str:
    text = f"{len(sweep.points)} runs that saw {sweep.clips_seen:,} clips each; {sweep.fair}."
    text += " Lines are 95 % confidence intervals."
    has_untrained = any(_scores(point, UNTRAINED) for point in sweep.points)
    return f"{text} Dashed: the same encoder, untrained." if has_untrained else text


def _scores(point: SweepPoint, representation: str) -> list[SweepScore]:
    return [score for score in point.scores if score.representation == representation]


def _column(score: SweepScore) -> Column:
    return Column(score.dataset, score.task, score.metric)


def _in_words(setting: str) -> str:
    return setting.replace("_", " ")
