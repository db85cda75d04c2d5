"""Scores by how many labels there were: the winning probe with shares of the training clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from model.page import charts, markup
from model.page.charts import Spec
from model.page.document import Section
from model.page.markup import Line
from model.probes.results.scores import TRAINED, Scores

_ASIDE = 0.012
"""Of the axis: between two representations."""


def section(scores: Sequence[Scores]) -> Section | None:
    """A chart and a table for each task; None where nothing was measured with fewer labels."""
    measured = [one for one in scores if any(row.efficiency for row in one.rows)]
    if not measured:
        return None
    names = {f"efficiency-{one.dataset}-{one.task}": one for one in measured}
    told = (
        "The winning probe's settings, trained with shares of the training clips, by whole pieces or songs; validation "
        "stays whole. Dots are means over draws of the clips, or over seeds where all of them are used; lines beside "
        "each other are 95 % intervals over test pieces or songs."
    )
    body = markup.paragraph(told, quiet=True) + markup.side_by_side(
        markup.heading(f"{one.dataset} / {one.task}")
        + markup.chart(name, f"Test {one.metric} on {one.task} by training clips", table(one))
        for name, one in names.items()
    )
    return Section("Fewer labels", body, {name: chart(one) for name, one in names.items()}, {})


def chart(scores: Scores) -> Spec:
    """The most important metric over training clips, a line for each representation."""
    rows, names = _rows(scores), [row.representation for row in scores.rows if row.efficiency]
    looks = alt.Scale(domain=names)
    counts = sorted({row["clips"] for row in rows})
    base = alt.Chart(charts.data(rows)).encode(
        x=alt.X("at:Q", title="training clips", scale=alt.Scale(type="log", nice=False, padding=14),
                axis=alt.Axis(values=counts, grid=False, format=",", **charts.apart("greedy"))),
        color=alt.Color("representation:N", scale=looks, title=None, sort=names),
    )  # fmt: skip
    shape = alt.Shape("representation:N", scale=looks, title=None, sort=names)
    within = [(row["low"], row["high"]) for row in rows if "low" in row]
    at = alt.Y("score:Q", **charts.spanned(scores.metric, [row["score"] for row in rows], within))
    told = ["representation:N", "clips:Q", alt.Tooltip("score:Q", format=".3f"), "draws:Q"]
    rules = [base.mark_rule(opacity=0.55).encode(y=alt.Y("low:Q"), y2="high:Q")]
    layers = [
        *(rules if all("low" in row for row in rows) else []),
        base.mark_line(strokeWidth=2, fill="transparent").encode(y=at),
        base.mark_point(filled=True, size=70, opacity=1).encode(y=at, shape=shape, tooltip=told),
    ]
    return charts.spec_of(alt.layer(*layers).properties(height=240))


def table(scores: Scores) -> str:
    """A line for each representation, a column for each share."""
    shares = [(one["share"], one["clips"]) for one in scores.rows[0].efficiency]
    head = ("representation", *(f"{clips:,} clips ({share:.0%})" for share, clips in shares))
    lines = [
        Line((row.representation, *(_cell(one, scores.metric) for one in row.efficiency)),
             "trained" if row.representation == TRAINED else "")
        for row in scores.rows
        if row.efficiency
    ]  # fmt: skip
    return markup.table(head, lines, f"Test {scores.metric} on {scores.task}")


def _cell(one: dict[str, Any], metric: str) -> str:
    value = markup.number(one["metrics"][metric])
    within = one.get("intervals", {}).get(metric)
    return f"{value} ({markup.between(within['low'], within['high'])})" if within else value


def _rows(scores: Scores) -> list[dict[str, Any]]:
    """Where each score stands is moved a little, so that intervals stand side by side."""
    found = []
    counts = [one["clips"] for row in scores.rows for one in row.efficiency]
    aside = (max(counts) / max(1, min(counts))) ** _ASIDE
    for place, row in enumerate(scores.rows):
        for one in row.efficiency:
            within = one.get("intervals", {}).get(scores.metric, {})
            facts = {"representation": row.representation, "clips": one["clips"], "draws": one["draws"]}
            facts["at"] = one["clips"] * aside ** (place - len(scores.rows) // 2)
            found.append({**facts, "score": one["metrics"][scores.metric], **within})
    return found
