"""Results of the trained encoder's probe for each class, key relation, tag and number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from model.page import charts, formats
from model.page.charts import Spec
from model.page.document import Section
from model.page.elements import PageChart, PageRow, PageTable
from model.probes.results.scores import RepresentationScores, Scores
from stores import key_names

_RELATIONS = {
    "same": "same key",
    "fifth": "a fifth above",
    "relative": "relative major or minor",
    "parallel": "same tonic, other mode",
    "other": "other",
}
_TAG_METRIC_AREAS = {"ROC-AUC": 45, "average precision": 130}
"""Metrics of a tag and the areas of their marks in square pixels. If both are equal, the small mark is in the large."""
_MIN_WIDE_CLASSES = 12
"""Number of classes from which a confusion matrix is wider than a phone."""
_RELATIONS_TEXT = (
    "Wrong keys by their relation to the true key. For C major, a fifth above is G major, the relative minor is A "
    "minor (the same notes), and C minor has the same tonic. MIREX gives a credit of 0.5, 0.3 and 0.2 to these three."
)


def section(scores: Sequence[Scores]) -> Section | None:
    """Return the per-class results of each task, or None if no task has any."""
    with_details = [one_task for one_task in scores if one_task.rows[0].details]
    drawn = {chart_id: spec for one_task in with_details for chart_id, spec in _charts(one_task).items()}
    content = {"tasks": [_content(one_task) for one_task in with_details]}
    return Section("Classes", "classes", content, drawn) if with_details else None


def displayed_order(scores: Scores) -> list[int]:
    """Return the indices of the classes in display order: keys along the circle of fifths, major keys first."""
    if scores.kind != "key":
        return list(range(len(scores.classes)))
    keys = [key_names.parse_key(label) for label in scores.classes]
    return sorted(range(len(keys)), key=lambda index: _position_on_circle(keys[index]))


def confusions_chart(scores: Scores) -> Spec:
    """Return how many clips or songs of each true class (rows) were predicted as each class (columns)."""
    counts, order = scores.rows[0].details["confusions"], displayed_order(scores)
    names = [scores.classes[index] for index in order]
    rows = []
    for true in order:
        total = sum(counts[true])
        for predicted in order:
            count = counts[true][predicted]
            pair = {"true": scores.classes[true], "predicted": scores.classes[predicted]}
            rows.append({**pair, "share": count / total if total else 0.0, "words": str(count) if count else ""})
    return charts.heat_map(rows, ("true", "predicted"), (names, names), 30 if len(names) < _MIN_WIDE_CLASSES else 24)


def relations_chart(scores: Scores) -> Spec:
    """Return for each representation the shares of keys that were correct or wrong by a certain relation."""
    rows = []
    for row in scores.rows:
        for relation, share in _relations(row).items():
            cell = {"representation": row.representation, "predicted": _RELATIONS[relation]}
            rows.append({**cell, "share": share, "words": f"{share:.0%}"})
    names = [row.representation for row in scores.rows]
    return charts.heat_map(rows, ("representation", "predicted"), (names, list(_RELATIONS.values())))


def tags_chart(tags: Sequence[Mapping[str, Any]]) -> Spec:
    """Return both metrics of every tag, sorted by ROC-AUC. If both are equal, a ring lies in a square."""
    ranked = sorted((tag for tag in tags if tag["ROC-AUC"] is not None), key=lambda tag: -tag["ROC-AUC"])
    scale, axis = alt.Scale(domain=list(_TAG_METRIC_AREAS)), alt.Axis(orient="top", tickCount=5, format=".1f")
    layers = []
    for metric, area in _TAG_METRIC_AREAS.items():
        rows = [{"tag": tag["name"], "clips": tag["clips"], "metric": metric, "value": tag[metric]} for tag in ranked]
        marks = (
            alt.Chart(charts.data(rows))
            .mark_point(filled=False, strokeWidth=2, opacity=1, size=area)
            .encode(
                y=charts.names("tag", [str(tag["name"]) for tag in ranked]),
                x=alt.X("value:Q", title=None, scale=alt.Scale(domain=[0, 1], padding=8), axis=axis),
                color=alt.Color("metric:N", scale=scale, title=None, legend=alt.Legend(columns=1)),
                shape=alt.Shape("metric:N", scale=scale, title=None),
                tooltip=["tag:N", "metric:N", alt.Tooltip("value:Q", format=".3f"), alt.Tooltip("clips:Q", format=",")],
            )
        )
        layers.append(marks)
    return charts.spec_of(alt.layer(*layers).properties(height=17 * len(ranked)))


def _charts(scores: Scores) -> dict[str, Spec]:
    details, chart_id = scores.rows[0].details, _chart_id(scores)
    drawn = {}
    if "relations" in details:
        drawn[f"{chart_id}-relations"] = relations_chart(scores)
    if "confusions" in details:
        drawn[chart_id] = confusions_chart(scores)
    if "tags" in details:
        drawn[chart_id] = tags_chart(details["tags"])
    return drawn


def _content(scores: Scores) -> dict[str, Any]:
    """Return what the template shows of one task. What the task does not have is None."""
    details = scores.rows[0].details
    return {
        "name": f"{scores.dataset} / {scores.task}",
        "relations": _relations_content(scores) if "relations" in details else None,
        "confusions": _confusions_content(scores) if "confusions" in details else None,
        "tags": _tags_content(scores, details["tags"]) if "tags" in details else None,
        "numbers": _numbers_table(details["numbers"]) if "numbers" in details else None,
    }


def _relations_content(scores: Scores) -> dict[str, Any]:
    chart = PageChart(f"{_chart_id(scores)}-relations", _RELATIONS_TEXT, _relations_table(scores))
    return {"text": _RELATIONS_TEXT, "chart": chart}


def _confusions_content(scores: Scores) -> dict[str, Any]:
    text = "Rows are true classes and columns are predicted classes. The color is the share of the row."
    step = -(-len(scores.classes) // len(charts.legible_labels(scores.classes)))
    text += f" 1 of {step} columns is labeled. Pointing at a cell shows both classes." if step > 1 else ""
    description = f"Confusions of the trained encoder on {scores.task}. {text}"
    chart = PageChart(_chart_id(scores), description, _confusions_table(scores))
    return {"text": text, "chart": chart, "wide": len(scores.classes) >= _MIN_WIDE_CLASSES}


def _tags_content(scores: Scores, tags: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    text = _tags_text(tags)
    return {"text": text, "chart": PageChart(_chart_id(scores), text, _tags_table(tags))}


def _numbers_table(numbers: Sequence[Mapping[str, Any]]) -> PageTable:
    rows = [PageRow((str(number["name"]), formats.number(number["correlation"]))) for number in numbers]
    return PageTable(("number", "correlation"), rows, "Pearson correlation between predictions and true values")


def _confusions_table(scores: Scores) -> PageTable:
    counts, order = scores.rows[0].details["confusions"], displayed_order(scores)
    head = ("true", *(scores.classes[index] for index in order), "correct")
    rows = []
    for true in order:
        total, correct = sum(counts[true]), counts[true][true]
        share = f"{correct / total:.0%}" if total else formats.MISSING
        rows.append(PageRow((scores.classes[true], *(str(counts[true][predicted]) for predicted in order), share)))
    return PageTable(head, rows, "Counts on test: true classes in rows, predicted classes in columns")


def _relations(row: RepresentationScores) -> dict[str, float]:
    counts = row.details.get("relations", {})
    total = sum(counts.values())
    return {name: counts.get(name, 0) / total for name in _RELATIONS} if total else {}


def _relations_table(scores: Scores) -> PageTable:
    rows = [
        PageRow((row.representation, *(str(row.details.get("relations", {}).get(name, 0)) for name in _RELATIONS)))
        for row in scores.rows
    ]
    head = ("representation", *_RELATIONS.values())
    return PageTable(head, rows, "Test songs or clips by the relation of the predicted key to the true key")


def _tags_text(tags: Sequence[Mapping[str, Any]]) -> str:
    scored = sum(tag["ROC-AUC"] is not None for tag in tags)
    text = f"ROC-AUC and average precision of {scored} tags, sorted by ROC-AUC."
    unscored = len(tags) - scored
    if not unscored:
        return text
    subject, pronoun = ("tag has", "it") if unscored == 1 else ("tags have", "them")
    return f"{text} {unscored} more {subject} no score, because no test clip or every test clip has {pronoun}."


def _tags_table(tags: Sequence[Mapping[str, Any]]) -> PageTable:
    rows = [
        PageRow(
            (
                str(tag["name"]),
                f"{tag['clips']:,}",
                formats.number(tag["ROC-AUC"]),
                formats.number(tag["average precision"]),
            )
        )
        for tag in tags
    ]
    return PageTable(("tag", "test clips", "ROC-AUC", "average precision"), rows, "Tags in the order of the dataset")


def _position_on_circle(key: tuple[int, str] | None) -> tuple[str, int]:
    assert key is not None, "the task's kind is `key`, so every class is a key"
    return key[1], key[0] * 7 % 12


def _chart_id(scores: Scores) -> str:
    return f"classes-{scores.dataset}-{scores.task}"
