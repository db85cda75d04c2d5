"""How sure the scores are: every representation with its 95 % interval, and which differences are more than luck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from model.page import charts, markup
from model.page.charts import Spec
from model.page.document import Section
from model.page.markup import Line
from model.probes.config import FULL, GRIDS
from model.probes.evaluation.bootstrap import Interval
from model.probes.results.scores import TRAINED, RepresentationScores, Scores


def section(scores: Sequence[Scores]) -> Section:
    """A chart for each task and metric, with what it says in words and its numbers."""
    body = ""
    drawn: dict[str, Spec] = {}
    for one in scores:
        names = {metric: f"interval-{one.dataset}-{one.task}-{place}" for place, metric in enumerate(_metrics(one))}
        drawn |= {name: chart(one, metric) for metric, name in names.items()}
        body += markup.heading(f"{one.dataset} / {one.task}") + markup.paragraph(_how(one), quiet=True)
        body += markup.side_by_side(
            markup.facts(verdicts(one, metric)) + markup.chart(name, description(one, metric), numbers(one, metric))
            for metric, name in names.items()
        )
    lead = (
        "Dots are scores on the test split, lines 95 % intervals by a bootstrap over pieces or songs. A difference is "
        "called sure where the interval of the paired difference leaves out 0; that two intervals overlap says little."
    )
    return Section("Certainty", markup.paragraph(lead, quiet=True) + body, drawn, {})


def verdicts(scores: Scores, metric: str) -> list[str]:
    """What the paired intervals say of the trained representation, a sentence for each kind of answer."""
    sentences: dict[str, list[str]] = {"surely ahead of": [], "surely behind": [], "not told apart from": []}
    for row in scores.rows:
        lead = row.metrics[metric].lead
        if lead is not None:
            answer = "surely ahead of" if lead.low > 0 else "surely behind" if lead.high < 0 else "not told apart from"
            sentences[answer].append(f"{row.representation} ({_signed(lead)})")
    name = metric[:1].upper() + metric[1:]
    return [f"{name}: the trained encoder is {words} {', '.join(who)}." for words, who in sentences.items() if who]


def chart(scores: Scores, metric: str) -> Spec:
    """Every representation's score and interval by one metric, the trained one first, with chance as a line."""
    order = [row.representation for row in scores.rows]
    rows = [_values(row, metric) for row in scores.rows]
    base = alt.Chart(charts.data(rows)).encode(
        y=charts.names("representation", order),
        tooltip=["representation:N", *(alt.Tooltip(f"{one}:Q", format=".3f") for one in ("value", "low", "high"))],
    )
    values = [*(row["value"] for row in rows), scores.chance[metric]]
    span = charts.spanned(f"{metric} on test", values, [(row["low"], row["high"]) for row in rows])
    at = alt.X("value:Q", axis=alt.Axis(tickCount=5, **charts.apart()), **span)
    trained, others = (base.transform_filter(f"{sign}datum.trained") for sign in ("", "!"))
    words: dict[str, Any] = {"align": "left", "baseline": "middle", "dx": 10}
    marks = [
        base.mark_rule(style="interval", strokeWidth=1.6).encode(x=alt.X("low:Q"), x2="high:Q"),
        others.mark_point(style="other", filled=True, size=80, shape="circle", opacity=1).encode(x=at),
        trained.mark_point(style="trained", filled=True, size=150, shape="diamond", opacity=1).encode(x=at),
        base.mark_text(style="remark", **words).encode(x=alt.value("width"), text=alt.Text("value:Q", format=".3f")),
    ]
    layers = alt.layer(*_chance(scores.chance[metric]), *marks)
    return charts.spec_of(layers.properties(height=32 * len(rows)))


def description(scores: Scores, metric: str) -> str:
    """The chart in a sentence, for who does not see it."""
    best = max(scores.rows, key=lambda row: row.metrics[metric].value)
    mine = scores.rows[0].metrics[metric]
    return (
        f"Test {metric} of {len(scores.rows)} representations on {scores.task} of {scores.dataset}: the trained one "
        f"has {markup.number(mine.value)} ({_between(mine.interval)}), the best is {best.representation} with "
        f"{markup.number(best.metrics[metric].value)}."
    )


def numbers(scores: Scores, metric: str) -> str:
    """The table of one metric: interval, seeds, nearest neighbours, lead, and what guessing scores."""
    head = ("representation", "width", metric, "95 % interval", "seeds", "k-NN", "trained is ahead by (95 %)")
    lines = [_line(row, metric) for row in scores.rows]
    guesses = {"majority": scores.majority[metric], "chance": scores.chance[metric]}
    lines += [Line((name, "", markup.number(value), "", "", "", ""), "guess") for name, value in guesses.items()]
    return markup.table(head, lines, f"{scores.dataset} / {scores.task}: {metric} on test")


def _line(row: RepresentationScores, metric: str) -> Line:
    one = row.metrics[metric]
    mean = sum(one.seeds) / len(one.seeds) if one.seeds else 0.0
    cells = (
        f"{row.representation} ({row.part})" if row.part else row.representation,
        f"{row.width:,}",
        markup.number(one.value),
        _between(one.interval),
        f"{markup.number(mean)} ± {one.spread:.3f}" if one.seeds else markup.GONE,
        markup.number(one.neighbours),
        _signed(one.lead) if one.lead else markup.GONE,
    )
    return Line(cells, "trained" if row.representation == TRAINED else "")


def _values(row: RepresentationScores, metric: str) -> dict[str, Any]:
    one = row.metrics[metric]
    facts = {"representation": row.representation, "trained": row.representation == TRAINED}
    return {**facts, "value": one.value, "low": one.interval.low, "high": one.interval.high}


def _chance(value: float) -> list[alt.Chart]:
    line = alt.Chart(charts.data([{"is": "chance", "at": value}])).encode(x=alt.X("at:Q"))
    words: dict[str, Any] = {"align": "center", "baseline": "bottom", "dy": -4}
    return [
        line.mark_rule(style="reference"),
        line.mark_text(style="remark", **words).encode(y=alt.value(0), text="is:N"),
    ]


def _how(scores: Scores) -> str:
    """What was scored, and by which search."""
    clips = ", ".join(f"{count:,} {split}" for split, count in scores.clips.items())
    things = {"tags": "tags", "numbers": "numbers"}.get(scores.kind, "classes")
    search = f"{scores.grid} grid, {scores.probes} probes chosen on validation" if scores.grid in GRIDS else scores.grid
    protocol = "" if scores.grid == FULL.name else "; not the paper's protocol, which is --grid full"
    songs = ", ".join(f"{count:,} {split}" for split, count in scores.songs.items())
    voted = f"; scored by song: {songs}" if songs else ""
    groups = f"{scores.test_groups:,} pieces or songs in test"
    return f"{len(scores.classes)} {things}; {clips} clips, {groups}; {search}{protocol}{voted}."


def _metrics(scores: Scores) -> list[str]:
    return list(scores.rows[0].metrics)


def _between(interval: Interval) -> str:
    return markup.between(interval.low, interval.high)


def _signed(interval: Interval) -> str:
    return f"{interval.low:+.3f} to {interval.high:+.3f}".replace("-", markup.MINUS)
