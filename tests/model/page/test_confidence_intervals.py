"""Intervals: verdicts follow the paired interval and nothing else; charts hold every number that the table has."""

from __future__ import annotations

from dataclasses import replace

import pytest
import synthetic_report
from html_elements import Elements

from model.page import confidence_intervals
from model.probes.evaluation.bootstrap import Interval

SCORES = synthetic_report.scores()


def _with_lead(low, high):
    """Scores whose second representation has this paired interval, and no other."""
    row = SCORES.rows[1]
    metric = replace(row.metrics["accuracy"], lead=Interval(low, high))
    return replace(SCORES, rows=(SCORES.rows[0], replace(row, metrics={"accuracy": metric})))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, "surely ahead of"),
        (-0.2, -0.01, "surely behind"),
        (-0.1, 0.1, "not told apart from"),
        (0.0, 0.1, "not told apart from"),
        (-0.1, 0.0, "not told apart from"),
    ],
)
def test_a_difference_is_sure_if_its_interval_leaves_out_0(low, high, verdict):
    (sentence,) = confidence_intervals.verdicts(_with_lead(low, high), "accuracy")
    assert sentence.startswith(f"Accuracy: the trained encoder is {verdict} untrained (")


def test_every_other_representation_is_in_one_verdict():
    told = " ".join(confidence_intervals.verdicts(SCORES, "accuracy"))
    for row in SCORES.rows[1:]:
        assert told.count(f"{row.representation} (") == 1


def test_the_chart_has_every_score_and_its_interval():
    spec = confidence_intervals.chart(SCORES, "accuracy")
    rows = next(rows for rows in spec["datasets"].values() if len(rows) == 4)
    for row, made in zip(SCORES.rows, rows, strict=True):
        main = row.main
        assert (made["value"], made["low"], made["high"]) == (main.value, main.interval.low, main.interval.high)
    assert [row["trained"] for row in rows] == [True, False, False, False]
    assert any(rows == [{"is": "chance", "at": 0.25}] for rows in spec["datasets"].values())


def test_the_axis_holds_all_intervals_and_chance():
    spec = confidence_intervals.chart(
        synthetic_report.scores(kind="numbers", chance={"R² arousal": -0.4, "R² valence": 0}), "R² arousal"
    )
    domain = next(layer["encoding"]["x"]["scale"]["domain"] for layer in spec["layer"] if "shape" in layer["mark"])
    assert domain[0] < -0.4
    assert domain[1] > 0.85


def test_the_table_has_seeds_neighbours_and_what_guessing_scores():
    text = Elements(confidence_intervals.numbers(SCORES, "accuracy")).text
    assert "0.800 ± 0.020" in text
    assert "0.750" in text  # k-NN
    assert "majority0.250chance0.250" in text


def test_a_section_has_a_chart_for_each_metric_of_each_task():
    found = [synthetic_report.scores(*name, *kind) for name, kind in synthetic_report.PAPER.items()]
    section = confidence_intervals.section(found)
    assert len(section.charts) == 2 + 1 + 2 + 2
    for name in section.charts:
        assert f'id="{name}"' in section.body
