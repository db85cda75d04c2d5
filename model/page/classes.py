"""Class by class: what the trained encoder's probe takes for what, tag by tag, and how far off mistaken keys are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from model.page import charts, markup
from model.page.charts import Spec
from model.page.document import Section
from model.page.markup import Line
from model.probes import musical_keys
from model.probes.results.scores import RepresentationScores, Scores

_RELATIONS = {
    "same": "same key",
    "fifth": "a fifth above",
    "relative": "relative",
    "parallel": "parallel",
    "other": "other",
}
_OF_TAGS = {"ROC-AUC": 45, "average precision": 130}
"""Metrics of a tag and the area of their marks, square pixels: of equal ones the smaller is inside the larger."""
_WIDE = 12
"""Classes from which on a table of confusions is wider than a phone."""


def section(scores: Sequence[Scores]) -> Section | None:
    """For each task what its kind has to tell; None where no task has details."""
    body = ""
    drawn: dict[str, Spec] = {}
    for one in scores:
        details, name = one.rows[0].details, f"classes-{one.dataset}-{one.task}"
        if details:
            body += markup.heading(f"{one.dataset} / {one.task}")
        if "relations" in details:
            drawn[f"{name}-relations"] = relations_chart(one)
            told = "Mistaken keys by how they stand to the true one; MIREX gives 0.5, 0.3 and 0.2 for the middle three."
            below = _relations_table(one)
            body += markup.paragraph(told, quiet=True) + markup.chart(f"{name}-relations", told, below)
        if "confusions" in details:
            drawn[name] = confusions_chart(one)
            body += _confusions(one, name)
        if "tags" in details:
            drawn[name] = tags_chart(details["tags"])
            told = _tags_told(details["tags"])
            body += markup.paragraph(told, quiet=True) + markup.chart(name, told, _tags_table(details["tags"]))
        if "numbers" in details:
            lines = [Line((str(n["name"]), markup.number(n["correlation"]))) for n in details["numbers"]]
            body += markup.table(("number", "correlation"), lines, "Pearson's correlation of prediction and truth")
    return Section("Classes", body, drawn, {}) if body else None


def ordered(scores: Scores) -> list[int]:
    """Places of the classes as they are shown: keys along the circle of fifths, major ones first; else as they are."""
    if scores.kind != "key":
        return list(range(len(scores.classes)))
    found = [musical_keys.parsed(label) for label in scores.classes]
    return sorted(range(len(found)), key=lambda place: _fifths(found[place]))


def confusions_chart(scores: Scores) -> Spec:
    """Of the clips or songs of each true class (a row) how many were taken for which (a column)."""
    counts, order = scores.rows[0].details["confusions"], ordered(scores)
    names = [scores.classes[place] for place in order]
    rows = []
    for true in order:
        whole = sum(counts[true])
        for said in order:
            count = counts[true][said]
            pair = {"true": scores.classes[true], "taken for": scores.classes[said]}
            rows.append({**pair, "share": count / whole if whole else 0.0, "words": str(count) if count else ""})
    return charts.heat_map(rows, ("true", "taken for"), (names, names), 30 if len(names) < _WIDE else 24)


def relations_chart(scores: Scores) -> Spec:
    """For each representation the shares of keys that were right, or mistaken in which way."""
    rows = []
    for row in scores.rows:
        for relation, share in _relations(row).items():
            place = {"representation": row.representation, "taken for": _RELATIONS[relation]}
            rows.append({**place, "share": share, "words": f"{share:.0%}"})
    names = [row.representation for row in scores.rows]
    return charts.heat_map(rows, ("representation", "taken for"), (names, list(_RELATIONS.values())))


def tags_chart(tags: Sequence[Mapping[str, Any]]) -> Spec:
    """Both metrics of every tag, the best ROC-AUC on top: rings in squares where they are equal."""
    ranked = sorted((tag for tag in tags if tag["ROC-AUC"] is not None), key=lambda tag: -tag["ROC-AUC"])
    looks, axis = alt.Scale(domain=list(_OF_TAGS)), alt.Axis(orient="top", tickCount=5, format=".1f")
    layers = []
    for metric, size in _OF_TAGS.items():
        rows = [{"tag": one["name"], "clips": one["clips"], "metric": metric, "value": one[metric]} for one in ranked]
        marks = (
            alt.Chart(charts.data(rows))
            .mark_point(filled=False, strokeWidth=2, opacity=1, size=size)
            .encode(
                y=charts.names("tag", [str(tag["name"]) for tag in ranked]),
                x=alt.X("value:Q", title=None, scale=alt.Scale(domain=[0, 1], padding=8), axis=axis),
                color=alt.Color("metric:N", scale=looks, title=None, legend=alt.Legend(columns=1)),
                shape=alt.Shape("metric:N", scale=looks, title=None),
                tooltip=["tag:N", "metric:N", alt.Tooltip("value:Q", format=".3f"), alt.Tooltip("clips:Q", format=",")],
            )
        )
        layers.append(marks)
    return charts.spec_of(alt.layer(*layers).properties(height=17 * len(ranked)))


def _confusions(scores: Scores, name: str) -> str:
    told = "Rows are true classes, columns what they were taken for; the colour is the share of the row."
    every = -(-len(scores.classes) // len(charts.labelled(scores.classes)))
    told += f" One column in {every} is labelled; pointing at a cell names both classes." if every > 1 else ""
    chart = markup.chart(name, f"Confusions of the trained encoder on {scores.task}. {told}", _confusions_table(scores))
    wide = len(scores.classes) >= _WIDE
    return markup.paragraph(told, quiet=True) + (markup.scrolled(chart, "confusions") if wide else chart)


def _confusions_table(scores: Scores) -> str:
    counts, order = scores.rows[0].details["confusions"], ordered(scores)
    head = ("true", *(scores.classes[place] for place in order), "right")
    lines = []
    for true in order:
        whole, right = sum(counts[true]), counts[true][true]
        share = f"{right / whole:.0%}" if whole else markup.GONE
        lines.append(Line((scores.classes[true], *(str(counts[true][said]) for said in order), share)))
    return markup.table(head, lines, "Counts on test, true classes down, predicted ones across")


def _relations(row: RepresentationScores) -> dict[str, float]:
    found = row.details.get("relations", {})
    whole = sum(found.values())
    return {name: found.get(name, 0) / whole for name in _RELATIONS} if whole else {}


def _relations_table(scores: Scores) -> str:
    lines = [
        Line((row.representation, *(str(row.details.get("relations", {}).get(name, 0)) for name in _RELATIONS)))
        for row in scores.rows
    ]
    return markup.table(("representation", *_RELATIONS.values()), lines, "Test songs or clips by how the key was taken")


def _tags_told(tags: Sequence[Mapping[str, Any]]) -> str:
    scored = sum(tag["ROC-AUC"] is not None for tag in tags)
    told = f"ROC-AUC and average precision of {scored} tags, the best ROC-AUC first."
    left = len(tags) - scored
    return f"{told} {left} more {'has' if left == 1 else 'have'} no score: no clip in test, or all." if left else told


def _tags_table(tags: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        Line((str(t["name"]), f"{t['clips']:,}", markup.number(t["ROC-AUC"]), markup.number(t["average precision"])))
        for t in tags
    ]
    return markup.table(("tag", "test clips", "ROC-AUC", "average precision"), lines, "Tags in the data set's order")


def _fifths(key: tuple[int, str] | None) -> tuple[str, int]:
    assert key is not None, "the task's kind is `key`, so every class is one"
    return key[1], key[0] * 7 % 12
