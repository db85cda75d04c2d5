"""Every score with its 95 % confidence interval, and sentences on which differences are significant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from model.page import charts, formats
from model.page.charts import Spec
from model.page.document import Section
from model.page.elements import PageChart, PageRow, PageTable
from model.probes.config import FULL, GRIDS
from model.probes.results.scores import TRAINED, RepresentationScores, Scores

_BETTER, _WORSE = "is significantly better than", "is significantly worse than"
_NO_DIFFERENCE = "shows no significant difference from"


def section(scores: Sequence[Scores]) -> Section:
    """Return a chart with its table and its verdicts for each metric of each task."""
    tasks = [_task(one_task) for one_task in scores]
    drawn = {
        _chart_id(one_task, metric): chart(one_task, metric) for one_task in scores for metric in _metrics(one_task)
    }
    return Section("Confidence intervals", "confidence_intervals", {"tasks": tasks}, drawn)


def _task(scores: Scores) -> dict[str, Any]:
    metrics = [
        {
            "verdicts": verdicts(scores, metric),
            "chart": PageChart(_chart_id(scores, metric), description(scores, metric), table(scores, metric)),
        }
        for metric in _metrics(scores)
    ]
    return {"name": f"{scores.dataset} / {scores.task}", "protocol": _protocol(scores), "metrics": metrics}


def verdicts(scores: Scores, metric: str) -> list[str]:
    """Return a sentence for each verdict of the paired intervals on the trained encoder."""
    groups: dict[str, list[str]] = {_BETTER: [], _WORSE: [], _NO_DIFFERENCE: []}
    for row in scores.rows[1:]:
        if difference := row.metrics[metric].lead:
            verdict = _BETTER if difference.low > 0 else _WORSE if difference.high < 0 else _NO_DIFFERENCE
            groups[verdict].append(f"{row.representation} ({formats.signed_interval(difference.low, difference.high)})")
    name = metric[:1].upper() + metric[1:]
    return [f"{name}: the trained encoder {verdict} {', '.join(names)}." for verdict, names in groups.items() if names]


def chart(scores: Scores, metric: str) -> Spec:
    """Return the score and interval of every representation, the trained one first, and chance as a line."""
    order = [row.representation for row in scores.rows]
    rows = [_values(row, metric) for row in scores.rows]
    base = alt.Chart(charts.data(rows)).encode(
        y=charts.names("representation", order),
        tooltip=["representation:N", *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high"))],
    )
    values = [*(row["value"] for row in rows), scores.chance[metric]]
    span = charts.titled_span(f"{metric} on test", values, [(row["low"], row["high"]) for row in rows])
    x = alt.X("value:Q", axis=alt.Axis(tickCount=5, **charts.separate_labels()), **span)
    trained, others = (base.transform_filter(f"{negation}datum.trained") for negation in ("", "!"))
    text: dict[str, Any] = {"align": "left", "baseline": "middle", "dx": 10}
    marks = [
        base.mark_rule(style="interval", strokeWidth=1.6).encode(x=alt.X("low:Q"), x2="high:Q"),
        others.mark_point(style="other", filled=True, size=80, shape="circle", opacity=1).encode(x=x),
        trained.mark_point(style="trained", filled=True, size=150, shape="diamond", opacity=1).encode(x=x),
        base.mark_text(style="remark", **text).encode(x=alt.value("width"), text=alt.Text("value:Q", format=".3f")),
    ]
    layers = alt.layer(*_chance_line(scores.chance[metric]), *marks)
    return charts.spec_of(layers.properties(height=32 * len(rows)))


def description(scores: Scores, metric: str) -> str:
    """Return a sentence with the chart's main numbers for readers who cannot see it."""
    best = max(scores.rows, key=lambda row: row.metrics[metric].value)
    trained = scores.rows[0].metrics[metric]
    return (
        f"Test {metric} of {len(scores.rows)} representations on {scores.task} of {scores.dataset}: the trained one "
        f"has {formats.estimate(trained.value, trained.interval.low, trained.interval.high)}, the best is "
        f"{best.representation} with {formats.number(best.metrics[metric].value)}."
    )


def table(scores: Scores, metric: str) -> PageTable:
    """Return the numbers of one metric: intervals, seeds, k-NN, paired differences and dummy baselines."""
    head = ("representation", "width", metric, "95 % interval", "seeds", "k-NN", "trained minus this (95 %)")
    rows = [_row(row, metric) for row in scores.rows]
    baselines = {"majority": scores.majority[metric], "chance": scores.chance[metric]}
    rows += [
        PageRow((name, "", formats.number(value), "", "", "", ""), "baseline") for name, value in baselines.items()
    ]
    return PageTable(head, rows, f"{scores.dataset} / {scores.task}: {metric} on test")


def _row(row: RepresentationScores, metric: str) -> PageRow:
    score = row.metrics[metric]
    mean = sum(score.seeds) / len(score.seeds) if score.seeds else 0.0
    cells = (
        f"{row.representation} ({row.part})" if row.part else row.representation,
        f"{row.width:,}",
        formats.number(score.value),
        formats.interval(score.interval.low, score.interval.high),
        f"{formats.number(mean)} ± {score.seed_deviation:.3f}" if score.seeds else formats.MISSING,
        formats.number(score.neighbours),
        formats.signed_interval(score.lead.low, score.lead.high) if score.lead else formats.MISSING,
    )
    return PageRow(cells, "trained" if row.representation == TRAINED else "")


def _values(row: RepresentationScores, metric: str) -> dict[str, Any]:
    score = row.metrics[metric]
    name = {"representation": row.representation, "trained": row.representation == TRAINED}
    return {**name, "value": score.value, "low": score.interval.low, "high": score.interval.high}


def _chance_line(value: float) -> list[alt.Chart]:
    line = alt.Chart(charts.data([{"is": "chance", "at": value}])).encode(x=alt.X("at:Q"))
    text: dict[str, Any] = {"align": "center", "baseline": "bottom", "dy": -4}
    return [
        line.mark_rule(style="reference"),
        line.mark_text(style="remark", **text).encode(y=alt.value(0), text="is:N"),
    ]


def _protocol(scores: Scores) -> str:
    """Return sentences on the clips that were scored and on the search for the probe."""
    kinds = {"tags": "tags", "numbers": "numbers"}.get(scores.kind, "classes")
    clips = ", ".join(f"{count:,} {split}" for split, count in scores.clips.items())
    grid = scores.grid
    search = f"{grid} grid of {scores.probes} probes, chosen on validation" if grid in GRIDS else grid
    sentences = [
        f"{len(scores.classes)} {kinds}.",
        f"Clips: {clips}, with {scores.test_groups:,} pieces or songs in test.",
        f"Probe: {search}.",
    ]
    if grid != FULL.name:
        sentences.append("The paper's protocol is --grid full.")
    if scores.songs:
        songs = ", ".join(f"{count:,} {split}" for split, count in scores.songs.items())
        sentences.append(f"Scored by song: {songs}.")
    return " ".join(sentences)


def _metrics(scores: Scores) -> list[str]:
    return list(scores.rows[0].metrics)


def _chart_id(scores: Scores, metric: str) -> str:
    return f"interval-{scores.dataset}-{scores.task}-{_metrics(scores).index(metric)}"
