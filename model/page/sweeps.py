"""Sweeps over one setting: what runs score by masking ratio (the paper's Figure 4), by batch (its Table 2), ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt

from model.page import charts, markup
from model.page.charts import Spec
from model.page.document import Section
from model.page.markup import Line
from model.page.sweep_file import PointScore, SweepPoint, SweepResults

_BY_POWERS = ("batch", "steps", "learning_rate", "projection_width", "weight_decay")
"""Settings that are swept by factors, and drawn on a logarithmic axis."""
_ENDS = ("score", "low", "high")
_FACTS: Mapping[str, Callable[[SweepPoint], str]] = {
    "batch": lambda point: f"{point.batch:,}",
    "steps": lambda point: f"{point.steps:,}",
    "ms a step": lambda point: f"{1e3 * point.seconds_per_step:.1f}",
    "loss": lambda point: f"{point.loss:.3f}",
}
"""Columns of the table, but for the one that is swept over, which is the first."""


def section(sweeps: Sequence[SweepResults], run: str) -> Section:
    """A chart for each task of each sweep, and a table; the point of `run` is marked where it is one of them."""
    body = ""
    drawn: dict[str, Spec] = {}
    for sweep in sweeps:
        body += markup.heading(f"{_spelled(sweep.over)} on {sweep.store}") + markup.paragraph(_told(sweep), quiet=True)
        places = {f"sweep-{sweep.name}-{place}": column for place, column in enumerate(columns(sweep))}
        drawn |= {name: chart(sweep, column, run) for name, column in places.items()}
        body += markup.side_by_side(
            markup.chart(name, f"{' '.join(column)} over {_spelled(sweep.over)}") for name, column in places.items()
        )
        body += markup.folded("The numbers", table(sweep)) + markup.commands([sweep.command], "command of the sweep")
    return Section("Sweeps", body, drawn, {})


def columns(sweep: SweepResults) -> list[tuple[str, str, str]]:
    """Data set, task and metric of everything that was scored."""
    return list(dict.fromkeys(_column(one) for point in sweep.points for one in point.scores))


def chart(sweep: SweepResults, column: tuple[str, str, str], run: str) -> Spec:
    """The trained representation's score and interval over the values of the setting; dashed, the untrained one's."""
    rows = [row for point in sweep.points if (row := _row(point, point.scores, column, run))]
    before = [row for point in sweep.points if (row := _row(point, point.untrained, column, run))]
    named = any(isinstance(row["value"], str) for row in rows)
    base = alt.Chart(charts.data(rows)).encode(x=_axis(sweep))
    values, within = [row["score"] for row in (*rows, *before)], [(row["low"], row["high"]) for row in rows]
    at = alt.Y("score:Q", **charts.spanned(f"{column[0]} {column[1]}: {column[2]}", values, within))
    line = base.mark_line(style="trained", strokeWidth=1.5, fill="transparent").encode(y=at)
    layers = [
        *([] if named else [line]),
        base.mark_rule(style="interval").encode(y=alt.Y("low:Q"), y2="high:Q"),
        *_dots([row for row in rows if not row["mine"]], sweep, at, size=80, shape="circle"),
        *_dots([row for row in rows if row["mine"]], sweep, at, size=170, shape="diamond"),
    ]
    return charts.spec_of(alt.layer(*_untrained(before, sweep, named), *layers).properties(height=220))


def _dots(rows: charts.Rows, sweep: SweepResults, at: alt.Y, size: int, shape: str) -> list[alt.Chart]:
    """A layer of its own, and none without rows: Vega complains of an axis that nothing stands on."""
    told = [alt.Tooltip("run:N"), *(alt.Tooltip(f"{one}:Q", format=".3f") for one in _ENDS)]
    dots = alt.Chart(charts.data(rows)).mark_point(style="trained", filled=True, size=size, shape=shape, opacity=1)
    return [dots.encode(x=_axis(sweep), y=at, tooltip=told)] if rows else []


def _untrained(rows: charts.Rows, sweep: SweepResults, named: bool) -> list[alt.Chart]:
    """What the same encoders score before training, beside which the setting does much or little."""
    if not rows:
        return []
    base = alt.Chart(charts.data(rows)).encode(x=_axis(sweep), y=alt.Y("score:Q"))
    told = [alt.Tooltip("run:N"), alt.Tooltip("score:Q", title="untrained", format=".3f")]
    strokes = base.mark_point(style="reference", shape="stroke", size=240, strokeDash=[]).encode(tooltip=told)
    last = alt.Chart(charts.data([{"is": "untrained", **rows[-1]}])).encode(x=alt.value("width"), y=alt.Y("score:Q"))
    name = last.mark_text(style="remark", align="left", baseline="middle", dx=6).encode(text="is:N")
    line = base.mark_line(style="reference", strokeWidth=1.2, fill="transparent")
    return [*([] if named else [line]), strokes, name]


def table(sweep: SweepResults) -> str:
    """A line for each run: how long, how fast, its loss and its scores with their intervals."""
    places = columns(sweep)
    facts = [name for name in _FACTS if name != sweep.over]
    head = (_spelled(sweep.over), *facts, *(" ".join(one) for one in places))
    return markup.table(head, [_line(point, facts, places) for point in sweep.points], f"{sweep.name}: all runs")


def _axis(sweep: SweepResults) -> alt.X:
    title = _spelled(sweep.over)
    values = [point.value for point in sweep.points if not isinstance(point.value, str)]
    if len(values) < len(sweep.points):
        names = [str(point.value) for point in sweep.points]
        return alt.X("value:N", title=title, sort=names, axis=alt.Axis(labelAngle=0))
    logarithmic = sweep.over in _BY_POWERS and min(values) > 0
    scale = alt.Scale(type="log", base=2, nice=False, padding=14) if logarithmic else alt.Scale(zero=False, padding=14)
    as_given: Spec = {"values": values, "labelExpr": "datum.value"}  # a format would round 0.75
    axis = alt.Axis(grid=False, **as_given, **charts.apart("greedy"))
    return alt.X("value:Q", title=title, scale=scale, axis=axis)


def _row(
    point: SweepPoint, scores: Sequence[PointScore], column: tuple[str, str, str], run: str
) -> dict[str, Any] | None:
    for one in scores:
        if _column(one) == column:
            place = {"value": point.value, "run": point.run, "mine": point.run == run}
            return {**place, "score": one.value, "low": one.low, "high": one.high}
    return None


def _line(point: SweepPoint, facts: Sequence[str], places: Sequence[tuple[str, str, str]]) -> Line:
    found = {_column(one): f"{markup.number(one.value)} ({markup.between(one.low, one.high)})" for one in point.scores}
    shown = point.value if isinstance(point.value, str) else f"{point.value:g}"
    return Line((shown, *(_FACTS[one](point) for one in facts), *(found.get(one, markup.GONE) for one in places)))


def _told(sweep: SweepResults) -> str:
    dashed = " Dashed: the same encoder, untrained." if any(point.untrained for point in sweep.points) else ""
    seen = f"{len(sweep.points)} runs, {sweep.clips_seen:,} clips seen by each"
    return f"{seen}; {sweep.fair}. Lines are 95 % intervals.{dashed}"


def _column(one: PointScore) -> tuple[str, str, str]:
    return one.dataset, one.task, one.metric


def _spelled(setting: str) -> str:
    return setting.replace("_", " ")
