"""Confidence intervals: verdicts follow from the paired interval alone, and charts have all numbers of the table."""

from __future__ import annotations

from dataclasses import replace

import pytest
import synthetic_report

from model.page import confidence_intervals
from model.probes.evaluation.bootstrap import Interval

SCORES = synthetic_report.scores()


def _with_difference(low, high):
    """Return scores whose second representation has this paired interval, and no other."""
    row = SCORES.rows[1]
    metric = replace(row.metrics["accuracy"], lead=Interval(low, high))
    return replace(SCORES, rows=(SCORES.rows[0], replace(row, metrics={"accuracy": metric})))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, "is significantly better than"),
        (-0.2, -0.01, "is significantly worse than"),
        (-0.1, 0.1, "shows no significant difference from"),
        (0.0, 0.1, "shows no significant difference from"),
        (-0.1, 0.0, "shows no significant difference from"),
    ],
)
def test_a_difference_is_significant_if_its_interval_excludes_0(low, high, verdict):
    (sentence,) = confidence_intervals.verdicts(_with_difference(low, high), "accuracy")
    assert sentence.startswith(f"Accuracy: the trained encoder {verdict} untrained (")


def test_every_other_representation_is_in_one_verdict():
    text = " ".join(confidence_intervals.verdicts(SCORES, "accuracy"))
    for row in SCORES.rows[1:]:
        assert text.count(f"{row.representation} (") == 1


def test_the_chart_has_every_score_and_its_interval():
    spec = confidence_intervals.chart(SCORES, "accuracy")
    drawn = next(rows for rows in spec["datasets"].values() if len(rows) == 4)
    for row, values in zip(SCORES.rows, drawn, strict=True):
        main = row.main
        assert (values["value"], values["low"], values["high"]) == (main.value, main.interval.low, main.interval.high)
    assert [row["trained"] for row in drawn] == [True, False, False, False]
    assert any(rows == [{"is": "chance", "at": 0.25}] for rows in spec["datasets"].values())


def test_the_axis_contains_all_intervals_and_chance():
    spec = confidence_intervals.chart(
        synthetic_report.scores(kind="numbers", chance={"R² arousal": -0.4, "R² valence": 0}), "R² arousal"
    )
    domain = next(layer["encoding"]["x"]["scale"]["domain"] for layer in spec["layer"] if "shape" in layer["mark"])
    assert domain[0] < -0.4
    assert domain[1] > 0.85


def test_the_table_has_seeds_knn_and_dummy_baselines():
    rows = confidence_intervals.table(SCORES, "accuracy").rows
    assert rows[0].cells == ("trained", "32", "0.800", "0.700 to 0.850", "0.800 ± 0.020", "0.750", "\N{EN DASH}")
    assert [(row.cells[0], row.cells[2], row.kind) for row in rows[-2:]] == [
        ("majority", "0.250", "baseline"),
        ("chance", "0.250", "baseline"),
    ]


def test_the_section_has_a_chart_for_each_metric_of_each_task():
    scores = [synthetic_report.scores(*name, *kind) for name, kind in synthetic_report.PAPER.items()]
    section = confidence_intervals.section(scores)
    assert len(section.charts) == 2 + 1 + 2 + 2
    for name in section.charts:
        assert f'id="{name}"' in section.body
